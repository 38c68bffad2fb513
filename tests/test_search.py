import json
import threading

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from kirogw import search, tokens
from kirogw.answer import (
    BEAT,
    CallDelta,
    CallStart,
    HiddenThought,
    SearchCall,
    SearchResult,
    Stop,
    TextDelta,
    ThoughtDelta,
    ThoughtSeal,
    Usage,
    collect,
)
from kirogw.conversation import Call, Choice, Conversation, Format, Result, Search, Text, Thought, Tool, Turn
from kirogw.dialects.kiro.search import Found
from kirogw.errors import BrokenAnswer, Busy, NeedsLogin, UpstreamFailed
from kirogw.flow.structured import structured

ROW = {"title": "Zig", "url": "https://ziglang.org/news", "snippet": "0.16 is out", "page_age": "2026-01-01"}
TOLD = "Web search results:\n\n1. Zig (2026-01-01)\nhttps://ziglang.org/news\n0.16 is out"
FUNCTION = Tool("web_search", search.DESCRIPTION, search.SCHEMA)
READ = Tool("read", "Reads.", {"type": "object"})


def user(*parts):
    return Turn("user", parts)


def asked(*tools, text="What is new in Zig?", terms=Search(), **more):
    return Conversation("m", (user(Text(text)),), tools=tools, search=terms, **more)


class Model:
    """Answers with one script after the other, and notes what it was asked."""

    def __init__(self, *scripts):
        self.scripts, self.asked, self.closed = list(scripts), [], 0

    def __call__(self, conversation):
        self.asked.append(conversation)
        script = self.scripts.pop(0) if self.scripts else searches("again")
        try:
            for batch in script:
                if isinstance(batch, Exception):
                    raise batch
                yield batch
        finally:
            self.closed += 1


class Web:
    """Finds one page, or what it is told to find."""

    def __init__(self, *found):
        self.found, self.queries = list(found), []

    def __call__(self, query):
        self.queries.append(query)
        found = self.found.pop(0) if self.found else Found([ROW])
        if isinstance(found, BaseException):
            raise found
        return found


def end(reason="end", **usage):
    return [Usage(**({"input": 100, "output": 10} | usage)), Stop(reason)]


def calls(part, id_, name, arguments):
    return [CallStart(part, id_, name), CallDelta(part, arguments[:5]), CallDelta(part, arguments[5:])]


def searches(*queries, name="web_search", first=0):
    found = [calls(first + n, f"t{n}", name, json.dumps({"query": query})) for n, query in enumerate(queries)]
    return [*found, end("calls")]


def says(text, part=0, **usage):
    return [[TextDelta(part, text)], end(**usage)]


def run(conversation, model, web=None, **more):
    return list(search.searching(conversation, model, web or Web(), **more))


def named(batches):
    """The events in one list, with the ids of searches as s0, s1... and without beats and empty batches."""
    names = {}
    events = [event for batch in batches if batch is not BEAT for event in batch]
    for event in events:
        if isinstance(event, SearchCall | SearchResult):
            assert event.id.startswith("srvtoolu_")
            event.id = names.setdefault(event.id, f"s{len(names)}")
    return events


# Without the model

SIDE = [
    pytest.param(asked(text="Perform a web search for the query: zig news", terms=Search(forced=True)), "zig news", id="Claude Code"),
    pytest.param(asked(text="  zig news\n", terms=Search(forced=True)), "zig news", id="plain"),
    pytest.param(asked(text="x" * 500, terms=Search(forced=True)), "x" * 500, id="just short enough"),
    pytest.param(asked(text="x" * 501, terms=Search(forced=True)), None, id="too long for a query"),
    pytest.param(asked(text=" ", terms=Search(forced=True)), None, id="nothing"),
    pytest.param(asked(text="zig"), None, id="not forced"),
    pytest.param(asked(READ, text="zig", terms=Search(forced=True)), None, id="among other tools"),
    pytest.param(asked(text="zig", terms=None), None, id="no search"),
    pytest.param(Conversation("m", (), search=Search(forced=True)), None, id="no turns"),
    pytest.param(Conversation("m", (user(Text("old")), Turn("model", (Text("hm"),)), user(Text("new"))), search=Search(forced=True)),
                 "new", id="the last turn"),
    pytest.param(Conversation("m", (user(Text("ask")), Turn("model", (Text("Pre"),))), search=Search(forced=True)), "ask", id="prefill"),
]  # fmt: skip


@pytest.mark.parametrize(("conversation", "query"), SIDE)
def test_side_request(conversation, query):
    assert search.side_request(conversation) == query


def test_a_side_request_needs_no_model():
    model, web = Model(), Web()
    conversation = asked(text=search.PREFIX + "zig", terms=Search(forced=True))
    assert named(run(conversation, model, web)) == [
        SearchCall(0, "s0", "zig"), SearchResult(1, "s0", [ROW]), TextDelta(2, TOLD),
        Usage(tokens.count_conversation(conversation), tokens.count(TOLD), searches=1), Stop("end"),
    ]  # fmt: skip
    assert model.asked == []
    assert web.queries == ["zig"]


def test_a_query_holds_no_half_of_a_surrogate_pair():
    """Nothing could be sent of it."""
    web = Web()
    run(asked(text="half \ud83d", terms=Search(forced=True)), Model(), web)
    run(asked(), Model([calls(0, "c", "web_search", '{"query": "\\udc00 half"}'), end("calls")], [[TextDelta(0, "Done.")], end()]), web)
    assert web.queries == ["half \ufffd", "\ufffd half"]


@pytest.mark.parametrize(
    ("found", "error", "text"),
    [
        (Found(error="query_too_long"), "query_too_long", "The web search failed: query_too_long."),
        (Found(), "", "The web search found nothing."),
        (Busy("slow down"), "too_many_requests", "The web search failed: too_many_requests."),
        (UpstreamFailed("reset"), "unavailable", "The web search failed: unavailable."),
        (NeedsLogin("sign in"), "unavailable", "The web search failed: unavailable."),
        (TimeoutError(), "unavailable", "The web search failed: unavailable."),
    ],
)
def test_a_side_request_that_fails_says_so(found, error, text):
    events = named(run(asked(terms=Search(forced=True)), Model(), Web(found)))
    assert events[1:3] == [SearchResult(1, "s0", [], error), TextDelta(2, text)]
    assert events[3].searches == (not error)


def test_a_question_that_is_too_long_for_a_query_goes_to_the_model_which_must_search():
    conversation = asked(text="x" * 501, terms=Search(forced=True))
    model = Model(searches("x"), says("done"))
    run(conversation, model)
    assert [c.choice for c in model.asked] == [Choice("named", "web_search"), Choice()]


# With the model


def test_an_answer_without_a_search_passes_as_it_is():
    model = Model([[ThoughtDelta(0, "hm"), ThoughtSeal(0, "s")], BEAT, [TextDelta(1, "Hello")], [], end(credits=0.5)])
    conversation = asked(READ)
    assert run(conversation, model) == [
        [ThoughtDelta(0, "hm"), ThoughtSeal(0, "s")], BEAT, [TextDelta(1, "Hello")], [], [],
        [Usage(100, 10, credits=0.5), Stop("end")],
    ]  # fmt: skip
    assert model.asked == [Conversation("m", conversation.turns, tools=(READ, FUNCTION))]
    assert model.closed == 1


def test_a_search_is_run_and_the_model_asked_again():
    model = Model(
        [[ThoughtDelta(0, "I look "), ThoughtDelta(0, "it up")], [ThoughtSeal(0, "seal"), HiddenThought(1, "dark")],
         [TextDelta(2, "One "), TextDelta(2, "moment")], *searches("zig", first=3)[:-1],
         end("calls", credits=0.25, thinking=4)],
        [[ThoughtDelta(0, "ah")], [TextDelta(1, "0.16")], end(input=300, output=7, credits=0.5, source="derived")],
    )  # fmt: skip
    web = Web()
    assert named(run(asked(READ), model, web)) == [
        ThoughtDelta(0, "I look "), ThoughtDelta(0, "it up"), ThoughtSeal(0, "seal"), HiddenThought(1, "dark"),
        TextDelta(2, "One "), TextDelta(2, "moment"),
        SearchCall(3, "s0", "zig"), SearchResult(4, "s0", [ROW]),
        ThoughtDelta(5, "ah"), TextDelta(6, "0.16"),
        Usage(300, 17, credits=0.75, thinking=4, searches=1, source="derived"), Stop("end"),
    ]  # fmt: skip
    assert web.queries == ["zig"]
    said = Turn("model", (Thought("I look it up", "seal"), Thought("", "dark", hidden=True), Text("One moment"),
                          Call("t0", "web_search", {"query": "zig"})))  # fmt: skip
    assert model.asked[1].turns == (*asked().turns, said, user(Result("t0", (Text(TOLD),))))
    assert model.asked[1].tools == (READ, FUNCTION)
    assert model.closed == 2


def test_several_searches_at_once_and_one_after_the_other():
    model = Model(searches("a", "b"), searches("c"), says("done"))
    web = Web()
    events = named(run(asked(), model, web))
    assert web.queries == ["a", "b", "c"]
    assert events[:6] == [
        SearchCall(0, "s0", "a"), SearchResult(1, "s0", [ROW]), SearchCall(2, "s1", "b"), SearchResult(3, "s1", [ROW]),
        SearchCall(4, "s2", "c"), SearchResult(5, "s2", [ROW]),
    ]  # fmt: skip
    assert events[6:] == [TextDelta(6, "done"), Usage(100, 30, searches=3), Stop("end")]
    assert [len(c.turns) for c in model.asked] == [1, 3, 5]
    assert len(model.asked[1].turns[2].parts) == 2


def test_a_call_of_the_clients_ends_the_answer_but_the_search_is_done_too():
    both = [*calls(0, "t0", "web_search", '{"query": "zig"}'), *calls(1, "t1", "read", '{"path": 1}')]
    model = Model([both, end("calls")])
    assert named(run(asked(READ), model)) == [
        *calls(1, "t1", "read", '{"path": 1}'), SearchCall(2, "s0", "zig"), SearchResult(3, "s0", [ROW]),
        Usage(100, 10, searches=1), Stop("calls"),
    ]  # fmt: skip
    assert len(model.asked) == 1


def test_interleaved_calls_keep_their_arguments():
    batch = [CallStart(0, "t0", "web_search"), CallStart(1, "t1", "read"), CallDelta(0, '{"query"'), CallDelta(1, '{"a"'),
             CallDelta(0, ': "zig"}'), CallDelta(1, ": 1}")]  # fmt: skip
    web = Web()
    answer = collect(named(run(asked(READ), Model([batch, end("calls")]), web)))
    assert web.queries == ["zig"]
    assert [(block.kind, block.text) for block in answer.blocks] == [("call", '{"a": 1}'), ("search", "zig"), ("results", "")]


@pytest.mark.parametrize("reason", ["max_tokens", "window", "refusal"])
def test_a_search_that_was_cut_off_is_not_run(reason):
    web = Web()
    model = Model([[TextDelta(0, "I"), CallStart(1, "t0", "web_search"), CallDelta(1, '{"query": "zi')], end(reason)])
    assert named(run(asked(), model, web)) == [TextDelta(0, "I"), Usage(100, 10), Stop(reason)]
    assert web.queries == []


@pytest.mark.parametrize("arguments", ["", "{}", '{"query": ""}', '{"query": 7}', "[1]", '{"query": "zi', '{"query": "  "}'])
def test_a_search_without_a_query_is_told_to_the_model(arguments):
    web, model = Web(), Model([calls(0, "t0", "web_search", arguments), end("calls")], says("sorry"))
    events = named(run(asked(), model, web))
    assert events[:2] == [SearchCall(0, "s0", ""), SearchResult(1, "s0", [], "invalid_tool_input")]
    assert web.queries == []
    result = Result("t0", (Text("The web search failed: invalid_tool_input."),), failed=True)
    assert model.asked[1].turns[-1] == user(result)


def test_a_query_that_is_far_too_long_is_not_sent():
    web = Web()
    events = named(run(asked(), Model(searches("x" * 2001), says("sorry")), web))
    assert events[1].error == "query_too_long"
    assert web.queries == []


def test_a_failed_search_does_not_end_the_answer():
    model = Model(searches("zig"), says("I do not know"))
    events = named(run(asked(), model, Web(Busy("slow down", wait=5))))
    assert events[1:] == [SearchResult(1, "s0", [], "too_many_requests"), TextDelta(2, "I do not know"), Usage(100, 20), Stop("end")]
    assert model.asked[1].turns[-1].parts[0].failed


def test_max_uses():
    model = Model(searches("a", "b"), searches("c"), says("done"))
    web = Web(Found(error="unavailable"))
    events = named(run(asked(terms=Search(max_uses=1)), model, web))
    assert web.queries == ["a"]
    errors = [event.error for event in events if isinstance(event, SearchResult)]
    assert errors == ["unavailable", "max_uses_exceeded", "max_uses_exceeded"]
    assert model.asked[2].turns[-1] == user(Result("t0", (Text(search.NO_MORE),), failed=True))
    assert named(run(asked(terms=Search(max_uses=0, forced=True)), Model()))[1].error == "max_uses_exceeded"


def test_a_model_that_never_stops_searching_is_paused():
    model, web = Model(), Web()
    events = named(run(asked(), model, web))
    assert len(model.asked) == len(web.queries) == search.ROUNDS
    assert events[-1] == Stop("pause")
    assert events[-2].searches == search.ROUNDS


def rows(*urls):
    return [{"title": "t", "url": url, "snippet": "s"} for url in urls]


PAGES = ("https://example.com/docs/a", "https://www.example.com/", "https://sub.example.com/docs", "http://notexample.com/",
         "https://example.com.evil.test/docs", "https://other.test/x?example.com", "https://[broken", "https://example.com/docsother")  # fmt: skip
DOMAINS = [
    # allowed, blocked, which of PAGES remain
    pytest.param((), (), range(8), id="all"),
    pytest.param(("example.com",), (), (0, 1, 2, 7), id="with subdomains"),
    pytest.param(("www.Example.com",), (), (0, 1, 2, 7), id="with www"),
    pytest.param(("*.example.com",), (), (0, 1, 2, 7), id="with a star"),
    pytest.param(("https://example.com/",), (), (0, 1, 2, 7), id="as an address"),
    pytest.param(("sub.example.com",), (), (2,), id="a subdomain"),
    pytest.param(("example.com/docs",), (), (0, 2), id="with a path"),
    pytest.param((), ("example.com",), (3, 4, 5, 6), id="blocked"),
    pytest.param((), ("example.com/docs/",), (1, 3, 4, 5, 6, 7), id="blocked path"),
    pytest.param(("example.com",), ("sub.example.com",), (0, 1, 7), id="both"),
    pytest.param(("nowhere.test",), (), (), id="none left"),
]


@pytest.mark.parametrize(("allowed", "blocked", "left"), DOMAINS)
def test_domains(allowed, blocked, left):
    terms = Search(allowed_domains=allowed, blocked_domains=blocked, forced=True)
    events = named(run(asked(terms=terms), Model(), Web(Found(rows(*PAGES)))))
    assert [row["url"] for row in events[1].results] == [PAGES[n] for n in left]


# The function and its name


def test_a_function_of_the_clients_that_is_called_web_search_is_its_own():
    own = Tool("web_search", "Mine.", {"type": "object"})
    model = Model([calls(0, "t0", "web_search", '{"query": "mine"}'), end("calls")])
    web = Web()
    conversation = asked(own, choice=Choice("named", "web_search"))
    assert named(run(conversation, model, web)) == [
        *calls(0, "t0", "web_search", '{"query": "mine"}'), Usage(100, 10), Stop("calls"),
    ]  # fmt: skip
    assert web.queries == []
    assert [tool.name for tool in model.asked[0].tools] == ["web_search", "search_the_web"]
    assert model.asked[0].choice == Choice("named", "web_search")
    model = Model(searches("ours", name="search_the_web"), says("done"))
    assert named(run(asked(own), model, web))[0] == SearchCall(0, "s0", "ours")


@pytest.mark.parametrize("taken", [(), ("web_search",), ("web_search", "search_the_web"), ("web_search", "search_the_web", "search_the_web_2")])
def test_a_free_name_is_found(taken):
    called = Turn("model", tuple(Call(f"c{n}", name) for n, name in enumerate(taken[1:])))
    conversation = Conversation("m", (user(Text("hi")), called), tools=tuple(Tool(name) for name in taken[:1]), search=Search())
    model = Model(says("hi"))
    run(conversation, model)
    name = model.asked[0].tools[-1].name
    assert name not in taken
    assert name.startswith(("web_search", "search_the_web"))


CHOICES = [
    # what the client chose, what the model is told at first, and after a search
    pytest.param(Choice(), Choice(), Choice(), id="auto"),
    pytest.param(Choice("any", parallel=False), Choice("any", parallel=False), Choice(parallel=False), id="any"),
    pytest.param(Choice("named", "web_search"), Choice("named", "web_search"), Choice(), id="the search"),
    pytest.param(Choice(allowed=("read",)), Choice(allowed=("read", "web_search")), Choice(allowed=("read", "web_search")),
                 id="some allowed"),
]  # fmt: skip


@pytest.mark.parametrize(("choice", "first", "second"), CHOICES)
def test_the_choice(choice, first, second):
    model = Model(searches("zig"), says("done"))
    run(asked(READ, choice=choice), model)
    assert [c.choice for c in model.asked] == [first, second]


def test_no_tools_means_no_search():
    model = Model(says("hi"))
    conversation = asked(READ, choice=Choice("none"))
    run(conversation, model)
    assert model.asked == [Conversation("m", conversation.turns, tools=(READ,), choice=Choice("none"))]


# Waiting, closing, failing


def test_beats_while_the_search_takes_its_time():
    enough, batches = threading.Event(), []

    def slow(query):
        assert enough.wait(60)
        return Found([ROW])

    for batch in search.searching(asked(), Model(searches("zig"), says("done")), slow, beat=0.05):
        batches.append(batch)
        if batches.count(BEAT) == 3:
            enough.set()
    assert batches.count(BEAT) >= 3
    assert isinstance(batches[2][0], SearchCall)
    assert batches[3] is batches[4] is batches[5] is BEAT
    assert any(isinstance(event, SearchResult) and event.results == [ROW] for event in named(batches))


def test_what_is_found_just_when_a_beat_is_due_is_not_lost(monkeypatch):
    class Late(search.Future):
        """Who waits for it the first time hears that it was in vain just when it is there."""

        asked = 0

        def result(self, timeout=None):
            found = super().result(60)
            self.asked += 1
            if self.asked == 1:
                raise TimeoutError
            return found

    monkeypatch.setattr(search, "Future", Late)
    events = named(run(asked(), Model(searches("zig"), says("done")), Web()))
    assert events[1] == SearchResult(1, "s0", [ROW])


def test_a_fault_of_our_own_is_not_lost_with_its_thread():
    with pytest.raises(ZeroDivisionError):
        run(asked(), Model(searches("zig")), Web(ZeroDivisionError()))


def test_an_error_of_the_upstream_passes():
    model = Model(searches("zig"), [[TextDelta(0, "0.")], BrokenAnswer("broke off")])
    source = search.searching(asked(), model, Web())
    events = []
    with pytest.raises(BrokenAnswer):
        events += [event for batch in source for event in batch]
    assert model.closed == 2


def test_closing_closes_the_upstream():
    model = Model([[TextDelta(0, "a")], [TextDelta(0, "b")]])
    source = search.searching(asked(), model, Web())
    assert next(source) == [TextDelta(0, "a")]
    source.close()
    assert model.closed == 1


def test_leaving_during_a_search_does_not_wait_for_it():
    release, entered, ended = threading.Event(), threading.Event(), threading.Event()

    def stuck(query):
        entered.set()
        release.wait(60)
        ended.set()
        return Found()

    source = search.searching(asked(), Model(searches("zig")), stuck, beat=0.02)
    while next(source) is not BEAT:
        pass
    source.close()
    assert entered.is_set() and not ended.is_set()
    release.set()


def test_with_structured_output_inside():
    """The order of the two: each round of the model is held to the format, the searches are shown as they come."""
    model = Model(searches("zig"), says("no JSON"), says('{"version": "0.16"}'))
    conversation = asked(format=Format())
    events = named(search.searching(conversation, lambda c: structured(c, model), Web()))
    assert [type(event) for event in events] == [SearchCall, SearchResult, TextDelta, Usage, Stop]
    assert events[2] == TextDelta(3, '{"version": "0.16"}')
    assert all(c.format for c in model.asked)


PIECES = st.lists(st.sampled_from(["text", "thought", "hidden", "search", "read"]), max_size=5)


@limits(max_examples=150, deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=4))
def test_numbers_only_grow_and_nothing_of_the_search_is_shown_as_a_call(rounds):
    scripts = []
    for kinds in rounds:
        batches = []
        for part, kind in enumerate(kinds):
            batches.append({
                "text": [TextDelta(part, "x"), TextDelta(part, "y")], "thought": [ThoughtDelta(part, "t"), ThoughtSeal(part, "s")],
                "hidden": [HiddenThought(part, "d")], "search": calls(part, f"t{part}", "web_search", '{"query": "zig"}'),
                "read": calls(part, f"t{part}", "read", '{"a": 1}'),
            }[kind])  # fmt: skip
        reason = "calls" if {"search", "read"} & set(kinds) else "end"
        scripts.append([*batches, end(reason)])
    model, web = Model(*scripts, says("done")), Web()
    events = named(run(asked(READ), model, web))
    parts = [event.part for event in events if not isinstance(event, Usage | Stop)]
    assert parts == sorted(parts)
    assert [type(event) for event in events[-2:]] == [Usage, Stop]
    assert not any(isinstance(event, CallStart) and event.name != "read" for event in events)
    assert len(web.queries) == sum(kinds.count("search") for kinds in rounds[: len(model.asked)])
    assert events[-2].searches == len(web.queries)
    assert collect(events).stop.reason == ("calls" if any(isinstance(event, CallStart) for event in events) else "end")
    for one, two in zip(model.asked, model.asked[1:], strict=False):
        assert two.turns[: len(one.turns)] == one.turns

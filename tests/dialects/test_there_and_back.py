"""A conversation that is written as a request and read again is the same, but for what docs/compatibility.md tells: each
loss is a function here and a row there. Without any, the items of the Responses API are the turns."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kirogw.conversation import (
    Call,
    Choice,
    Conversation,
    Document,
    Format,
    Image,
    Native,
    Result,
    Text,
    Thinking,
    Thought,
    Tool,
    Turn,
)  # fmt: skip
from kirogw.convert import FACES
from kirogw.dialects.responses import items, tools
from kirogw.dialects.seals import seal
from tests.dialects import writers
from tests.dialects.conversations import PDF, PNG
from tests.dialects.writers import runs

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"
WRITERS = {"chat": writers.chat, "messages": writers.messages, "responses": writers.responses}

# conversations

TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
INPUTS = st.dictionaries(TEXTS, TEXTS | st.integers(-9, 9) | st.lists(st.none() | st.booleans()), max_size=2)
SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}}
DEFINITIONS = [
    {"type": "function", "name": "read", "description": "Reads.", "parameters": SCHEMA},
    {"type": "function", "name": "write", "description": "", "parameters": SCHEMA, "strict": True},
    {"type": "function", "name": "later", "description": "", "parameters": SCHEMA, "strict": False, "defer_loading": True},
    {"type": "custom", "name": "sql", "description": "Asks.", "format": {
        "type": "grammar", "syntax": "regex", "definition": "s.*"}},
    {"type": "namespace", "name": "files", "description": "Files.", "tools": [
        {"type": "function", "name": "read", "parameters": SCHEMA, "strict": False}, {"type": "custom", "name": "tell"}]},
    {"type": "namespace", "name": "functions", "description": "", "tools": [{"type": "custom", "name": "exec"}]},
    {"type": "local_shell"},
    {"type": "tool_search", "execution": "client", "description": "Finds.", "parameters": SCHEMA},
]  # fmt: skip
TOOLS = tuple(tools.read_tools({"tools": DEFINITIONS}).tools)
GONE = Tool("gone")
HAND = {"custom": TEXTS.map(lambda text: {"input": text}), "search": TEXTS.map(lambda text: {"query": text}),
        "shell": st.lists(TEXTS, min_size=1, max_size=2).map(lambda words: {"command": words, "timeout_ms": 5})}  # fmt: skip
PICTURES = st.sampled_from([Image(PNG, "image/png", detail="high"), Image(url="https://example.org/a.png")])
FILES = st.sampled_from([
    Document("a.pdf", "application/pdf", PDF), Document("notes", "text/plain", text="some notes"),
    Document("b.pdf", url="https://example.org/b.pdf"),
])  # fmt: skip
TOLD = st.builds(Text, TEXTS) | PICTURES | FILES
THOUGHTS = st.one_of(
    st.builds(Thought, TEXTS, st.sampled_from(["", seal("s", "m", "x"), "gAAAA"])),
    st.just(Thought("", seal("c", "m", "x"))), st.just(Thought("", seal("r", "m", "x"), hidden=True)),
)  # fmt: skip


@st.composite
def calls(draw, made):
    tool = draw(st.sampled_from((*TOOLS, GONE, TOOLS[-1])))
    id_ = f"call_{len(made)}"
    raw = draw(st.sampled_from([None, None, "{", "[1]"])) if tool.kind == "function" else None
    given_ = {} if raw else draw(HAND.get(tool.kind, INPUTS))
    made[id_] = tool.kind
    return Call(id_, tool.name, given_, raw, tool.namespace, tool.kind)


@st.composite
def results(draw, made, offered):
    searches = [id_ for id_, kind in made.items() if kind == "search"]
    id_ = draw(st.sampled_from((*made, *searches * 5, "call_x")))
    if made.get(id_) == "search":
        names = [tool.name for tool in offered if draw(st.booleans())]
        said = "\n".join((items.FOUND, *names)) if names else items.NONE_FOUND
        return Result(id_, (Text(said),))
    return Result(id_, tuple(draw(st.lists(TOLD, max_size=2))), draw(st.sampled_from([False, False, True])))


@st.composite
def conversations(draw):
    made, turns = {}, []
    offered = TOOLS if draw(st.booleans()) else ()
    said = st.one_of(st.builds(Text, TEXTS, st.sampled_from(["", "commentary", "final_answer"])), THOUGHTS, calls(made),
                     st.just(Native({"type": "compaction", "encrypted_content": "gAAA"})))  # fmt: skip
    parts = {"user": TOLD | results(made, offered), "model": said, "system": st.builds(Text, TEXTS)}
    for role in draw(st.lists(st.sampled_from(("user", "model", "user", "model", "system")), max_size=6)):
        turns.append(Turn(role, tuple(draw(st.lists(parts[role], min_size=1, max_size=4)))))
    turns.append(Turn("user", (Text("Go on"),)))
    modes = ["auto", "none", *(["any", "named"] if offered else [])]
    mode = draw(st.sampled_from(modes))
    names = tuple(tool.name for tool in offered)
    thinking = draw(st.sampled_from([
        Thinking(), Thinking("adaptive", "high", summary="auto"), Thinking("on", "low", 2000, shown=False), Thinking("off"),
        Thinking("on", budget=5000)]))
    return Conversation(
        "m", tuple(turns), tuple(draw(st.lists(TEXTS, max_size=2))), offered,
        Choice(mode, draw(st.sampled_from(names)) if mode == "named" else "", draw(st.booleans()),
               names[:2] if mode == "any" and draw(st.booleans()) else ()),
        draw(st.sampled_from([(), ("END",)])), draw(st.sampled_from([None, 100])), thinking,
        draw(st.sampled_from([None, Format(), Format({"type": "object"}, "n", True)])),
    )  # fmt: skip


EVERYTHING = Conversation(
    "m", (
        Turn("system", (Text("Be brief."),)),
        Turn("user", (Text("Look"), Image(PNG, "image/png", detail="low"), Document("notes", "text/plain", text="some notes"),
                      Document("b.pdf", url="https://example.org/b.pdf"))),
        Turn("model", (Text("I look.", "commentary"), Thought("So.", "gAAAA"), Call("c1", "tool_search", {}, kind="search"),
                       Native({"type": "compaction"}), Call("c2", "files__tell", {"input": "a"}, None, "files", "custom"),
                       Text("Both."))),
        Turn("user", (Result("c1", (Text(f"{items.FOUND}\nread"),)), Result("c2", (Text("No."),), True), Text("Go on"))),
    ), ("You are a gateway.",), TOOLS, Choice("any", allowed=("read",)), ("END",), 100,
    Thinking("on", "low", 2000, shown=False, summary="auto"), Format({"type": "object"}, "n", True),
)  # fmt: skip
ANY_JSON = replace(EVERYTHING, format=Format())

# what is lost on the way

def parts_are(change):
    """A loss in every part, results included."""
    def lost(conversation):
        def deep(part):
            part = change(part)
            return replace(part, parts=tuple(map(deep, part.parts))) if isinstance(part, Result) else part

        return with_turns(conversation, (replace(turn, parts=tuple(map(deep, turn.parts))) for turn in conversation.turns))

    return lost


def with_turns(conversation, turns):
    return replace(conversation, turns=tuple(turns))


def of_the_model(change):
    return lambda conversation: with_turns(conversation, (
        replace(turn, parts=tuple(change(turn.parts))) if turn.role == "model" else turn for turn in conversation.turns))


@parts_are
def phases(part):
    return replace(part, phase="") if isinstance(part, Text) else part


@parts_are
def failures(part):
    return replace(part, failed=False) if isinstance(part, Result) else part


@parts_are
def failures_but_for_a_word(part):
    if isinstance(part, Result) and part.failed:
        return replace(part, parts=(Text("Error:"), *part.parts), failed=False)
    return part


@parts_are
def texts_as_files(part):
    if isinstance(part, Document) and part.text:
        return Text(f"Document: {part.name}\n\n{part.text}")
    return part


@parts_are
def details_of_pictures(part):
    return replace(part, detail="") if isinstance(part, Image) else part


@parts_are
def kinds_of_files_by_address(part):
    return replace(part, media="application/pdf") if isinstance(part, Document) and part.url else part


def namespaces_and_kinds(conversation, custom=False):
    """`custom`: but for that one."""
    def plain(one):
        if not isinstance(one, Call | Tool):
            return one
        if custom and one.kind == "custom":
            return replace(one, namespace="")
        return replace(one, namespace="", kind="function")

    conversation = parts_are(plain)(conversation)
    return replace(conversation, tools=tuple(plain(tool) for tool in conversation.tools))


def namespaces_and_kinds_but_custom(conversation):
    return namespaces_and_kinds(conversation, custom=True)


def native_definitions(conversation):
    return replace(conversation, tools=tuple(replace(tool, native=None) for tool in conversation.tools))


def grammars(conversation):
    """And all else of a definition but names and descriptions."""
    def changed(tool):
        if tool.kind != "custom":
            return replace(tool, native=None)
        description = {"description": tool.description} if tool.description else {}
        return replace(tool, native={"type": "custom", "name": tool.name, **description})

    return replace(conversation, tools=tuple(map(changed, conversation.tools)))


def strictness_of_formats(conversation):
    return replace(conversation, format=conversation.format and replace(conversation.format, strict=None))


def doubts_about_strictness(conversation):
    return replace(conversation, tools=tuple(
        replace(tool, strict=False) if tool.strict is None and tool.native is None else tool for tool in conversation.tools))


@of_the_model
def native_items(parts):
    return [part for part in parts if not isinstance(part, Native)]


@of_the_model
def seals_and_borders_of_thoughts(parts):
    text = "\n\n".join(part.text for part in parts if isinstance(part, Thought) and part.text)
    return [*([Thought(text)] if text else []), *(part for part in parts if not isinstance(part, Thought))]


@of_the_model
def places_of_calls(parts):
    return sorted(parts, key=lambda part: isinstance(part, Call))


def borders_of_turns(conversation, said="said"):
    """`said`: what the model says in turns that follow each other is one."""
    turns, last = [], ""
    for turn in conversation.turns:
        if turn.role == "model":
            pieces = [(said, turn.parts)]
        else:
            pieces = [("results" if isinstance(run[0], Result) else "", tuple(run))
                      for run in runs(turn.parts, lambda part: isinstance(part, Result))]
        for kind, parts in pieces:
            if kind and kind == last:
                turns[-1] = replace(turns[-1], parts=turns[-1].parts + parts)
            else:
                turns.append(Turn(turn.role, parts))
            last = kind
    return with_turns(conversation, turns)


def borders_of_turns_but_the_models(conversation):
    return borders_of_turns(conversation, said="")


def turns_of_the_first_instructions(conversation):
    first = next(n for n, turn in enumerate(conversation.turns) if turn.role != "system")
    texts = [part.text for turn in conversation.turns[:first] for part in turn.parts]
    return replace(conversation, system=(*conversation.system, *texts), turns=conversation.turns[first:])


def places_of_tools_that_were_found(conversation):
    """In the order in which they were found."""
    searches = {part.id for turn in conversation.turns for part in turn.parts if isinstance(part, Call) and part.kind == "search"}
    names = [name for turn in conversation.turns for part in turn.parts if isinstance(part, Result) and part.call in searches
             for name in part.parts[0].text.split("\n")]  # fmt: skip
    return replace(conversation, tools=tuple(sorted(conversation.tools, key=lambda tool: [tool.name in names, tool.name in names and names.index(tool.name)])))


def budgets_of_thinking(conversation):
    thinking = conversation.thinking
    effort = thinking.effort or ("none" if thinking.mode == "off" else "")
    mode = "default" if not effort else "off" if effort == "none" else "adaptive"
    return replace(conversation, thinking=Thinking(mode, effort, summary=thinking.summary))


def silence_about_summaries(conversation):
    thinking = conversation.thinking
    return replace(conversation, thinking=replace(thinking, summary="none")) if thinking.effort and not thinking.summary else conversation


def summaries_of_thinking(conversation):
    return replace(conversation, thinking=replace(conversation.thinking, summary=""))


def stop_sequences(conversation):
    return replace(conversation, stops=())


def tools_that_are_allowed(conversation):
    return replace(conversation, choice=replace(conversation.choice, allowed=()))


def json_of_any_form(conversation):
    return replace(conversation, format=conversation.format if conversation.format and conversation.format.schema else None)


LOSSES = {
    "chat": [
        phases, native_items, seals_and_borders_of_thoughts, places_of_calls, failures, texts_as_files,
        namespaces_and_kinds_but_custom, grammars, borders_of_turns_but_the_models, turns_of_the_first_instructions,
        budgets_of_thinking, summaries_of_thinking,
    ],
    "messages": [
        phases, native_items, kinds_of_files_by_address, namespaces_and_kinds, native_definitions,
        details_of_pictures, strictness_of_formats,
        tools_that_are_allowed, json_of_any_form, summaries_of_thinking,
    ],
    "responses": [
        failures_but_for_a_word, texts_as_files, borders_of_turns, turns_of_the_first_instructions,
        doubts_about_strictness, places_of_tools_that_were_found, budgets_of_thinking, silence_about_summaries,
        stop_sequences,
    ],
}  # fmt: skip
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("face", LOSSES)
def test_there_and_back(face):
    """And each loss is one: without it some conversation would not come back."""
    seen = set()

    @QUICK
    @given(conversations())
    @example(EVERYTHING)
    @example(ANY_JSON)
    def check(conversation):
        body = WRITERS[face](conversation)
        expected = conversation
        for loss in LOSSES[face]:
            before, expected = expected, loss(expected)
            if before != expected:
                seen.add(loss)
        back = FACES[face].read(body, {}).conversation
        assert back == expected

    check()
    assert seen == set(LOSSES[face])


@QUICK
@given(conversations())
def test_items_are_the_turns(conversation):
    """Nothing at all is lost of turns whose borders are where another speaks, and whose results have not failed."""
    for loss in (failures_but_for_a_word, texts_as_files, borders_of_turns, turns_of_the_first_instructions):
        conversation = loss(conversation)
    written = items.written(conversation.turns, TOOLS)
    assert items.read(written) == ((), conversation.turns)
    assert items.written(items.read(written)[1], TOOLS) == written


@QUICK
@given(st.lists(st.sampled_from(DEFINITIONS), unique_by=str))
def test_definitions_of_tools_come_back(definitions):
    known = tools.read_tools({"tools": definitions}).tools
    assert tools.read_tools({"tools": tools.written(known)}).tools == list(
        doubts_about_strictness(Conversation("m", (), tools=tuple(known))).tools)
    assert [d for d in tools.written(known) if d.get("name") != "read"] == [d for d in definitions if d.get("name") != "read"]


def test_every_loss_has_a_row():
    rows = re.findall(r"^\| (chat|messages|responses) \| ([a-z -]+) \|", PAGE.read_text().partition("## There and back")[2], re.M)
    names = [(face, loss_name(loss)) for face, losses in LOSSES.items() for loss in losses]
    assert rows == names


def loss_name(loss):
    return NAMES[loss].replace("_", " ")


NAMES = {value: name for name, value in list(globals().items()) if callable(value)}

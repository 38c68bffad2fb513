"""Every rule by rows: what the client sent, what holds afterwards. A rule without a row fails."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.conversation import Call, Choice, Document, Format, Image, Native, Result, Search, Text, Thought, Tool
from kirogw.dialects import calls, cleaned, cuts, obey
from kirogw.dialects.codex import pairs, prompt, tools, turns
from kirogw.dialects.codex.rules import RULES
from kirogw.dialects.codex.shape import Terms
from kirogw.dialects.responses.items import NONE_FOUND
from kirogw.dialects.seals import seal
from kirogw.errors import BadRequest
from tests.dialects.codex.talk import BLIND, OLD, SOL, TERMS
from tests.dialects.codex.test_request import conversations
from tests.dialects.conversations import GIF, PDF, PNG
from tests.dialects.talk import READ, call, model, result, system, talk, user

LITE, SHARED = Terms(SOL, "lite"), Terms(SOL, "shared")
SEALED = Thought("Hm.", seal("c", OLD.id, "gAAA"))
MARKED = Thought("Hm.", seal("c", OLD.id, "gAAA", "here"))
PIC, GIF_PIC = Image(PNG, "image/png"), Image(GIF, "image/gif")
FILE = Document("report.pdf", "application/pdf", PDF)
NOT_RUN = Result("a", (calls.NOT_RUN,), True)
COMPACTION = Native({"type": "compaction", "encrypted_content": "gAAA"})
SEARCHED = Native({"type": "web_search_call", "action": {"type": "search", "query": "q"}})
PATCH = {"type": "custom", "name": "apply_patch", "format": {"type": "text"}}
SHELL = Tool("local_shell", "d", {"type": "object", "properties": {}}, "shell", native={"type": "local_shell"})
FIND = Tool("tool_search", "d", {"type": "object", "properties": {}}, "search", native={"type": "tool_search"})


def spaced(name, namespace="ns", **inner):
    native = {"type": "namespace", "name": namespace, "tools": [{"type": "function", "name": name, **inner}]}
    return Tool(f"{namespace}__{name}", "d", {"type": "object", "properties": {}}, "function", namespace, native)


def row(rule, sent, got, id, terms=TERMS):
    return pytest.param(rule, sent, got, terms, id=f"{rule.__name__}: {id}")


def same(rule, sent, id, terms=TERMS):
    return row(rule, sent, sent, id, terms)


ROWS = [
    # rule, what the client sent, what holds afterwards
    same(cleaned.all_text_is_clean, talk(user("h\u00e9")), "clean"),
    row(cleaned.all_text_is_clean, talk(model(Text("a\ud83d", "commentary"))), talk(model(Text("a\ufffd", "commentary"))), "half a letter"),
    row(turns.the_system_text_is_stable, talk(system=("x-anthropic-billing-header: cc=1;\n\nBe brief.",)), talk(system=("Be brief.",)),
        "a billing line"),

    same(turns.pictures_are_what_they_say, talk(user(PIC, result("a", GIF_PIC))), "as declared"),
    row(turns.pictures_are_what_they_say, talk(user(Image(GIF, "image/png"), result("a", Image(PNG)))), talk(user(GIF_PIC, result("a", PIC))),
        "the bytes decide"),
    row(turns.pictures_are_what_they_say, talk(user(Image(url="https://x/a.png"))),
        talk(user("[An image that could not be loaded: https://x/a.png]")), "not fetched"),
    row(turns.pictures_are_what_they_say, talk(user(PIC)), talk(user("[An image. The model gpt-5.3-codex-spark takes no images.]")),
        "a model that can not see", Terms(BLIND, "classic")),
    row(turns.pictures_are_what_they_say, talk(user(Image("AAAA")), model("b")),
        talk(user("[Left out of an earlier message: the image is neither PNG, JPEG, GIF nor WebP; convert it to one of them]"), model("b")),
        "an old one that was refused before"),
    same(turns.pictures_have_the_detail_that_the_form_takes, talk(user(replace(PIC, detail="high"))), "a known one"),
    row(turns.pictures_have_the_detail_that_the_form_takes, talk(user(replace(PIC, detail="close"))), talk(user(PIC)), "an unknown one"),
    row(turns.pictures_have_the_detail_that_the_form_takes, talk(user(result("a", replace(PIC, detail="high")))),
        talk(user(result("a", PIC))), "in Lite", LITE),
    same(turns.documents_are_files_or_text, talk(user(FILE)), "a PDF"),
    row(turns.documents_are_files_or_text, talk(user(Document("", "application/octet-stream", PDF))),
        talk(user(replace(FILE, name="document.pdf"))), "the bytes decide, and it gets a name"),
    row(turns.documents_are_files_or_text, talk(user(Document("a.txt", "text/plain", text="hello"))),
        talk(user('<document name="a.txt">\nhello\n</document>')), "text"),
    row(turns.documents_are_files_or_text, talk(user(Document("a.py", "text/x-python", "cGFzcw=="))),
        talk(user('<document name="a.py">\npass\n</document>')), "bytes that are text"),
    row(turns.documents_are_files_or_text, talk(user(Document("a", url="http://x/a.pdf"))),
        talk(user("[A document that could not be loaded: a http://x/a.pdf]")), "not fetched"),
    row(turns.documents_are_files_or_text, talk(user(FILE)),
        talk(user("[A document, report.pdf. The model gpt-5.3-codex-spark takes no documents.]")), "a model that reads text only",
        Terms(BLIND, "classic")),

    same(turns.parts_stand_with_who_may_say_them, talk(user("a", PIC, result()), model("b", call(), SEALED, COMPACTION)), "fine"),
    row(turns.parts_stand_with_who_may_say_them, talk(model("a", PIC)), talk(model("a"), user(PIC)), "a picture of the model's"),
    row(turns.parts_stand_with_who_may_say_them, talk(user(call())), talk(user('The tool read was called with {"path":"x"}')),
        "a call of the user's"),
    same(turns.the_models_turns_are_whole, talk(user("a"), user("b"), model("c"), user("d")), "others may have neighbours"),
    row(turns.the_models_turns_are_whole, talk(model(SEALED), model("a"), system("s"), model("b")), talk(model(SEALED, "a"), system("s"), model("b")),
        "neighbours"),

    same(turns.thoughts_are_sealed_by_this_account, talk(model(SEALED, "a")), "by whom nobody knows"),
    same(turns.thoughts_are_sealed_by_this_account, talk(model(MARKED, "a", COMPACTION)), "by this one", replace(TERMS, mark="here")),
    row(turns.thoughts_are_sealed_by_this_account, talk(model(MARKED, "a")), talk(model("a")), "by another one", replace(TERMS, mark="there")),
    row(turns.thoughts_are_sealed_by_this_account, talk(model(Thought("Hm."), "a")), talk(model("a")), "no seal"),
    row(turns.thoughts_are_sealed_by_this_account, talk(model(Thought("Hm.", seal("s", "claude", "x")), Thought("", "EqMB"), "a")), talk(model("a")),
        "other providers'"),
    row(turns.thoughts_are_sealed_by_this_account, talk(model(SEALED, "a", COMPACTION, SEARCHED)), talk(model("a", SEARCHED)),
        "one was not believed", replace(TERMS, unsealed=True)),
    same(turns.thoughts_stand_before_what_they_made, talk(model(SEALED, SEALED, "a", SEALED, call(), SEALED, SEARCHED)), "they do"),
    row(turns.thoughts_stand_before_what_they_made, talk(model("a", SEALED)), talk(model("a")), "nothing came of it"),
    row(turns.thoughts_stand_before_what_they_made, talk(model(SEALED, COMPACTION, "a")), talk(model(COMPACTION, "a")), "nor of this one"),
    same(turns.native_items_have_no_ids, talk(model(COMPACTION)), "none"),
    row(turns.native_items_have_no_ids, talk(model(Native({"id": "x", **COMPACTION.item}))), talk(model(COMPACTION)), "an id"),

    same(turns.cut_answers_are_told, talk(model(call()), user(result())), "nothing was cut"),
    row(turns.cut_answers_are_told, talk(model(call()), user(result())), talk(model(call()), user(result("a", cuts.CUT_CALL, "done"))),
        "a call", replace(TERMS, cut={"a"})),
    row(calls.arguments_are_objects, talk(model(call(raw="[1]"), call("b", "apply_patch", raw="x", kind="custom"))),
        talk(model(call(input={"unparsed_arguments": "[1]"}), call("b", "apply_patch", {"input": "x"}, kind="custom"))), "text"),
    row(calls.ids_are_plain, talk(model(call("functions.x:0")), user(result("functions.x:0"))),
        talk(model(call("functions_x_0_448624f5d5d78247")), user(result("functions_x_0_448624f5d5d78247"))), "another API's"),
    row(calls.ids_are_unique, talk(model(call()), user(result()), model(call(namespace="ns")), user(result())),
        talk(model(call()), user(result()), model(call("a_2", namespace="ns")), user(result("a_2"))), "twice the same"),

    same(pairs.results_follow_their_calls, talk(model(call()), system("s"), user("b"), user(result())), "they do, somewhere"),
    row(pairs.results_follow_their_calls, talk(user(result()), model(call()), user(result(), result())),
        talk(user("Result of the tool call a, which is not part of this conversation:", "done"), model(call()),
             user(result(), "Another result of the tool call a:", "done")), "before the call, and twice"),
    same(pairs.every_call_is_answered, talk(model(call()), user("b"), user(result())), "it is"),
    row(pairs.every_call_is_answered, talk(model(call(), call("b")), user(result("b"), "stop")),
        talk(model(call(), call("b")), user(NOT_RUN), user(result("b"), "stop")), "one did not run"),
    row(pairs.every_call_is_answered, talk(model(call())), talk(model(call()), user(NOT_RUN)), "the last one"),
    same(pairs.searches_for_tools_have_found_some, talk(model(call("a", kind="search"), call("b")), user(result("a", NONE_FOUND), result("b"))),
         "or none"),
    row(pairs.searches_for_tools_have_found_some, talk(model(call("a", kind="search")), user(result("a", "It failed."))),
        talk(model(call("a")), user(result("a", "It failed."))), "words"),

    same(tools.lite_has_no_web_search, talk(search=Search()), "others have one"),
    row(tools.lite_has_no_web_search, talk(tools=(READ,), search=Search(), choice=Choice("named", "web_search")),
        talk(tools=(READ,), left_out=("web_search",)), "it was to be used", LITE),
    row(tools.lite_has_no_web_search, talk(tools=(READ,), search=Search(), choice=Choice(allowed=("read", "web_search"))),
        talk(tools=(READ,), left_out=("web_search",), choice=Choice(allowed=("read",))), "it was allowed", LITE),
    same(tools.only_allowed_tools_are_declared, talk(tools=(READ, SHELL), choice=Choice("named", "read")), "a choice that there is a word for"),
    same(tools.only_allowed_tools_are_declared, talk(tools=(READ,), choice=Choice("none")), "none"),
    row(tools.only_allowed_tools_are_declared, talk(tools=(READ,), choice=Choice("none")), talk(choice=Choice("none")), "none, in Lite", LITE),
    row(tools.only_allowed_tools_are_declared, talk(tools=(READ, SHELL), choice=Choice("named", "local_shell")),
        talk(tools=(SHELL,), choice=Choice("any")), "a choice that there is no word for"),
    row(tools.only_allowed_tools_are_declared, talk(tools=(READ, FIND), choice=Choice(allowed=("read",), parallel=False)),
        talk(tools=(READ,), choice=Choice(parallel=False)), "allowed ones, by Sign in with ChatGPT", SHARED),
    row(tools.only_allowed_tools_are_declared, talk(tools=(READ,), search=Search(), choice=Choice("named", "web_search")),
        talk(search=Search(), choice=Choice("named", "web_search")), "the search, by Sign in with ChatGPT", SHARED),
    same(tools.only_allowed_tools_are_declared, talk(tools=(READ,), search=Search(), choice=Choice(allowed=("web_search", "read"))),
         "the search and a tool"),
    same(tools.tools_are_unique, talk(tools=(READ, SHELL)), "they are"),
    row(tools.tools_are_unique, talk(tools=(READ, SHELL, replace(READ, description="new"))), talk(tools=(replace(READ, description="new"), SHELL)),
        "the later one stands"),
    same(tools.tools_are_of_kinds_that_the_form_takes, talk(model(call(kind="shell")), tools=(SHELL, FIND)), "the classic form takes all"),
    row(tools.tools_are_of_kinds_that_the_form_takes, talk(model(call(kind="shell")), tools=(SHELL, FIND)),
        talk(model(call()), tools=(replace(SHELL, kind="function", native=None), FIND)), "Lite has no shell", LITE),
    row(tools.tools_are_of_kinds_that_the_form_takes, talk(tools=(FIND,)), talk(tools=(replace(FIND, kind="function", native=None),)),
        "nor Sign in with ChatGPT a search", SHARED),
    same(tools.tool_names_fit, talk(model(call(name="ns__read", namespace="ns")), tools=(READ, spaced("read"))), "they do"),
    row(tools.tool_names_fit, talk(model(call(name="a b")), tools=(replace(READ, name="a b"),), choice=Choice("named", "a b")),
        talk(model(call(name="a_b_c8687a08aa")), tools=(replace(READ, name="a_b_c8687a08aa"),), choice=Choice("named", "a_b_c8687a08aa")),
        "a blank"),
    row(tools.tool_names_fit, talk(model(call(name="ns__a b", namespace="ns")), tools=(spaced("a b"),)),
        talk(model(call(name="ns__a_b_e1f81ef553")), tools=(Tool("ns__a_b_e1f81ef553", "d", {"type": "object", "properties": {}},
             native={"type": "function", "name": "ns__a_b_e1f81ef553"}),)), "in a namespace, which it leaves"),
    same(tools.schemas_are_acceptable, talk(tools=(READ, SHELL, Tool("p", "", {"type": "object", "properties": {}}, "custom", native=PATCH))), "fine"),
    row(tools.schemas_are_acceptable, talk(tools=(Tool("a", "", {"$schema": "x", "properties": {"b": {"type": "array"}, "c": {"type": ["object", "null"]}}}),)),
        talk(tools=(Tool("a", "", {"properties": {"b": {"type": "array", "items": {}}, "c": {"type": ["object", "null"], "properties": {}}},
                                   "type": "object"}, strict=False),)), "words that are missing or refused"),
    row(tools.schemas_are_acceptable, talk(tools=(replace(READ, strict=True),)), talk(tools=(replace(READ, strict=False),)), "not as strict as told"),
    row(tools.schemas_are_acceptable, talk(tools=(spaced("x", defer_loading=True, parameters={}),)),
        talk(tools=(replace(spaced("x", parameters={"type": "object", "properties": {}}, strict=False), strict=False),)), "in a namespace"),

    same(prompt.the_choice_is_told, talk(tools=(READ,), choice=Choice("any")), "there is a word for it"),
    row(prompt.the_choice_is_told, talk(tools=(READ,), choice=Choice("any"), system=("s",)),
        talk(tools=(READ,), system=("s", "Your next answer must call at least one tool.")), "in Lite", LITE),
    row(prompt.the_choice_is_told, talk(choice=Choice("none")), talk(), "none, in Lite", LITE),
    row(obey.missing_server_tools_are_told, talk(left_out=("code_execution",)),
        talk(system=("These tools are not available in this session: code_execution.",)), "one"),
    same(prompt.blocked_pages_are_told, talk(search=Search(None, ("a",))), "none"),
    row(prompt.blocked_pages_are_told, talk(search=Search(None, ("a",), ("b", "c"))),
        talk(search=Search(None, ("a",)), system=("Do not use pages of these sites: b, c.",)), "two"),
    same(prompt.json_is_spoken_of, talk(user("some JSON"), format=Format()), "by the user"),
    row(prompt.json_is_spoken_of, talk(user("a"), format=Format()), talk(system("Answer with one JSON object."), user("a"), format=Format()),
        "by nobody"),
    same(prompt.the_format_is_an_object, talk(format=Format({"type": "object", "properties": {}})), "it is"),
    row(prompt.the_format_is_an_object, talk(format=Format({"description": "d"}, "n")),
        talk(format=Format({"description": "d", "type": "object", "properties": {}}, "n")), "it may be"),
    row(prompt.the_format_is_an_object, talk(format=Format({"type": "array"})),
        talk(system=('The text of your final answer must be JSON that fits the JSON schema {"type":"array","items":{}} and nothing else.',)),
        "it is not"),

    same(turns.no_part_is_empty, talk(user(" ")), "blank"),
    row(turns.no_part_is_empty, talk(user("", "a"), model(""), user()), talk(user("a")), "empty ones"),
    row(turns.no_part_is_empty, talk(), talk(user("Continue")), "nothing at all"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "sent", "got", "terms"), ROWS)
def test_what_holds_afterwards(rule, sent, got, terms):
    made = rule(sent, terms)
    assert made == got
    if sent == got:
        assert made is sent, "nothing was to be done"
    assert rule(made, terms) is made or rule(made, terms) == made, "twice is once"


def test_every_rule_has_a_row():
    assert {row.values[0] for row in ROWS} == set(RULES)


@pytest.mark.parametrize(("sent", "param"), [
    pytest.param(talk(user(Image("AAAA", at="input.0.content.1"))), "input.0.content.1", id="a picture that nobody can read"),
    pytest.param(talk(user(Document("a.docx", "application/x", "AAAA"))), "messages.0.content.0", id="a file that nobody can read"),
    pytest.param(talk(user("a"), tools=(READ,), choice=Choice("named", "write")), "tool_choice", id="a choice of what is not there"),
])  # fmt: skip
def test_what_goes_in_no_form(sent, param):
    with pytest.raises(BadRequest) as caught:
        obey.obey(RULES, sent, TERMS)
    assert caught.value.param == param


@given(conversations(), st.sampled_from([TERMS, LITE, SHARED, replace(TERMS, unsealed=True, mark="here")]))
@settings(max_examples=150, deadline=None)
def test_twice_is_once(conversation, terms):
    try:
        once, _ = obey.obey(RULES, conversation, terms)
    except BadRequest:
        return
    assert obey.obey(RULES, once, terms)[0] == once


@given(conversations())
@settings(max_examples=100, deadline=None)
def test_no_word_is_lost(conversation):
    """What the user and the system said is there afterwards."""
    def words(turns):
        return "".join(part.text for turn in turns if turn.role != "model" for part in turn.parts if type(part) is Text)

    clean = cleaned.all_text_is_clean(conversation, TERMS)
    try:
        obeyed, _ = obey.obey(RULES, conversation, TERMS)
    except BadRequest:
        return
    said = words(obeyed.turns)
    for turn in clean.turns:
        for part in turn.parts if turn.role != "model" else ():
            assert type(part) is not Text or part.text in said
    ids = [part.id for turn in obeyed.turns for part in turn.parts if isinstance(part, Call)]
    assert len(ids) == len(set(ids))

"""Every rule by rows: what the client sent, what holds afterwards. A rule without a row fails."""

import base64
from dataclasses import replace

import pytest
from hypothesis import given, settings

from kirogw.conversation import (
    Call,
    Choice,
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
)
from kirogw.dialects import calls, cleaned, cuts, obey
from kirogw.dialects.kiro import effort, media, pairs, prompt, tools, turns
from kirogw.dialects.kiro.rules import RULES
from kirogw.dialects.kiro.shape import Terms
from kirogw.dialects.seals import seal
from kirogw.errors import BadRequest
from tests.dialects.conversations import GIF, PDF, PNG, conversations, png
from tests.dialects.kiro.talk import AUTO, BLIND, HAIKU, OPUS, SHAPE, TERMS
from tests.dialects.talk import READ, SCHEMA, call, model, result, system, talk, user

SEALED = Thought("Hm.", seal("s", "claude-opus-4.8", "Ev0B"))
MARKED = Thought("Hm.", seal("s", "claude-opus-4.8", "Ev0B", "here"))
SECRET = Thought("", seal("r", "claude-opus-4.8", "cmVk"), hidden=True)
PIC, GIF_PIC = Image(PNG, "image/png"), Image(GIF, "image/gif")
NOT_RUN = Result("a", (calls.NOT_RUN,), True)
LONG = "word " * 2_001
FILE = Document("report", "application/pdf", PDF)


def terms(model=OPUS, **members):
    return Terms(model, SHAPE, **members)


def row(rule, sent, got, id, terms=TERMS):
    return pytest.param(rule, sent, got, terms, id=f"{rule.__name__}: {id}")


def same(rule, sent, id, terms=TERMS):
    return row(rule, sent, sent, id, terms)


def files(count, start=1, **members):
    return [Document(f"f{n}", "application/pdf", PDF, **members) for n in range(start, start + count)]


ROWS = [
    same(turns.native_items_are_for_others, talk(user("a"), model("b", call()), user(result()), model()), "none"),
    row(turns.native_items_are_for_others, talk(user("a", Native({"type": "compaction"})), model(Native({"type": "x"})), user("b")),
        talk(user("a"), user("b")), "some"),
    # rule, what the client sent, what holds afterwards
    same(cleaned.all_text_is_clean, talk(user("hé"), model(call(input={"a": ["b", {"c": 1}]}))), "clean"),
    row(cleaned.all_text_is_clean, talk(user("a\0b \ud83d c")), talk(user("ab \ufffd c")), "NUL and half a pair"),
    row(cleaned.all_text_is_clean, talk(user("\ud83d\ude00")), talk(user("\U0001f600")), "both halves"),
    row(cleaned.all_text_is_clean, talk(system=("s\0y",)), talk(system=("sy",)), "system text"),
    row(cleaned.all_text_is_clean, talk(user(result("a", "x\0"), Document("n\0", text="t\0"), Image(url="u\0"))),
        talk(user(result("a", "x"), Document("n", text="t"), Image(url="u"))), "inside results, documents and pictures"),
    row(cleaned.all_text_is_clean, talk(model(call(input={"k\0": ["v\0", {"": 1, "_": 2}]}))),
        talk(model(call(input={"k": ["v", {"_": 1, "__": 2}]}))), "arguments, and their empty keys"),
    row(cleaned.all_text_is_clean, talk(model(call(raw='{"\0'))), talk(model(call(raw='{"'))), "unparsed arguments"),
    row(cleaned.all_text_is_clean, talk(model(replace(SEALED, text="H\0m."))), talk(model(Thought("Hm."))),
        "a thought that had to be cleaned is no longer the one that was sealed"),

    same(media.pictures_are_what_they_say, talk(user(PIC, result("a", GIF_PIC))), "as declared"),
    row(media.pictures_are_what_they_say, talk(user(Image(GIF, "image/png"), result("a", Image(PNG)))),
        talk(user(GIF_PIC, result("a", PIC))), "the bytes decide"),
    row(media.pictures_are_what_they_say, talk(user(Image(f"data:image/png;base64,{PNG}", "image/png"))), talk(user(PIC)),
        "a data URL by mistake"),
    row(media.pictures_are_what_they_say,
        talk(user(Image("\n".join(PNG[n : n + 40] for n in range(0, len(PNG), 40)).rstrip("=") + "\n", "image/png"))),
        talk(user(PIC)), "line breaks, no padding"),
    row(media.pictures_are_what_they_say, talk(user(Image(url="http://x/a.png"))),
        talk(user("[An image that could not be loaded: http://x/a.png]")), "not fetched"),
    row(media.pictures_are_what_they_say, talk(user("a", result("a", Image("AAAA"))), model("b"), user(PIC)),
        talk(user("a", result("a", "[Left out of an earlier message: the image is neither PNG, JPEG, GIF nor WebP; convert it"
                                   " to one of them]")), model("b"), user(PIC)), "an old one that was refused before"),
    row(media.pictures_are_what_they_say, talk(user(PIC)), talk(user("[An image. The model glm-5 takes no images.]")),
        "a model that can not see", terms(BLIND)),

    same(media.documents_are_files_or_text, talk(user(FILE)), "a file"),
    row(media.documents_are_files_or_text, talk(user(Document("Q1/Q2 ü.PDF", "application/octet-stream", PDF))),
        talk(user(Document("Q1 Q2 PDF", "application/pdf", PDF))), "the name tells the format, and gets plain"),
    row(media.documents_are_files_or_text, talk(user(FILE, result("a", FILE))),
        talk(user(FILE, result("a", replace(FILE, name="report 2")))), "two of one name"),
    row(media.documents_are_files_or_text, talk(user(Document("a.txt", "text/plain", text="hello"))),
        talk(user('<document name="a.txt">\nhello\n</document>')), "text without bytes"),
    row(media.documents_are_files_or_text,
        talk(user(Document("a.py", "text/x-python", base64.b64encode(b"pass").decode()))),
        talk(user('<document name="a.py">\npass\n</document>')), "bytes that are text"),
    row(media.documents_are_files_or_text, talk(user(*files(6, text="t"))),
        talk(user(*files(5, text="t"), '<document name="f6">\nt\n</document>')), "the sixth"),
    row(media.documents_are_files_or_text, talk(user(replace(FILE, text="t"))),
        talk(user('<document name="report">\nt\n</document>')), "a model that reads no files", terms(BLIND)),
    row(media.documents_are_files_or_text, talk(user(FILE)),
        talk(user("[A document, report. The model glm-5 takes no documents.]")), "and there is no text of it", terms(BLIND)),
    row(media.documents_are_files_or_text, talk(user(Document("a", "a/b", "/w==")), model("b"), user(FILE)),
        talk(user("[Left out of an earlier message: the document 'a' (a/b, 1 bytes) can not be sent: Kiro takes 5 a"
                  " conversation, up to 4,500,000 bytes each, of these formats: csv, doc, html, md, pdf, txt, xls, docx, xlsx;"
                  " send its text]"), model("b"), user(FILE)), "an old one that was refused before"),
    row(media.documents_are_files_or_text, talk(user(Document("a", url="http://x/a.pdf"))),
        talk(user("[A document that could not be loaded: a http://x/a.pdf]")), "not fetched"),

    same(prompt.the_system_text_is_stable, talk(system=("Be brief.",)), "nothing volatile"),
    row(prompt.the_system_text_is_stable, talk(system=("x-anthropic-billing-header: cc=1; cch=2;", "Be brief.")),
        talk(system=("Be brief.",)), "a block of its own"),
    row(prompt.the_system_text_is_stable, talk(system=("x-anthropic-billing-header: cc=1;\n\nBe brief.",)),
        talk(system=("Be brief.",)), "the first line of a block"),

    same(turns.parts_stand_with_who_may_say_them, talk(user("a", PIC, FILE, result()), model("b", call(), SEALED)), "fine"),
    row(turns.parts_stand_with_who_may_say_them, talk(model("a", PIC, result("a"))), talk(model("a"), user(PIC, result("a"))),
        "pictures and results of the model's"),
    row(turns.parts_stand_with_who_may_say_them, talk(user(call(), Thought("hm"))),
        talk(user('The tool read was called with {"path":"x"}', "hm")), "calls and thoughts of the user's"),

    same(turns.only_user_and_model_speak, talk(user("a"), model("b")), "both"),
    row(turns.only_user_and_model_speak, talk(user("a"), system("Mind this."), model("b")),
        talk(user("a"), user("<system-message>\nMind this.\n</system-message>"), model("b")), "a system message"),

    same(turns.turns_alternate, talk(user("a"), model("b"), user("c")), "they do"),
    row(turns.turns_alternate, talk(user("a"), user("b"), model("c"), model(call())), talk(user("a", "b"), model("c", call())),
        "neighbours"),

    same(turns.the_user_begins, talk(user("a")), "so it is"),
    row(turns.the_user_begins, talk(model("a")), talk(user(), model("a")), "the model does"),
    row(turns.the_user_begins, talk(), talk(user()), "nobody does"),

    same(turns.the_user_ends, talk(user("a")), "so it is"),
    row(turns.the_user_ends, talk(user("a"), model("It is")), talk(user("a"), model("It is"), user()), "prefill"),

    same(turns.thoughts_are_sealed_by_this_model, talk(model(SEALED, "a"), model(SECRET, call())), "ours, one a turn"),
    row(turns.thoughts_are_sealed_by_this_model, talk(model(Thought("Hm."), "a")), talk(model("a")), "no seal"),
    row(turns.thoughts_are_sealed_by_this_model, talk(model(Thought("Hm.", "EqMBCkYIBxgC"), "a")), talk(model("a")),
        "another's seal"),
    row(turns.thoughts_are_sealed_by_this_model, talk(model(SEALED, "a")), talk(model("a")), "another model's", terms(HAIKU)),
    row(turns.thoughts_are_sealed_by_this_model, talk(model(Thought("Hm.", seal("s", "auto", "Ev")), "a")), talk(model("a")),
        "by nobody knows whom", terms(AUTO)),
    row(turns.thoughts_are_sealed_by_this_model, talk(model(SEALED, "a", SEALED)), talk(model("a")), "two in a turn"),
    row(turns.thoughts_are_sealed_by_this_model, talk(model(Thought("Hm.", seal("c", OPUS.id, "gAAAA")), "a")), talk(model("a")),
        "another provider's"),
    row(turns.thoughts_are_sealed_by_this_model, talk(model(Thought("", seal("r", OPUS.id, "no base64!")), "a")),
        talk(model("a")), "damaged"),
    same(turns.thoughts_are_sealed_by_this_model, talk(model(MARKED, "a")), "this account's", terms(mark="here")),
    same(turns.thoughts_are_sealed_by_this_model, talk(model(SEALED, "a")), "from before there were marks", terms(mark="here")),
    row(turns.thoughts_are_sealed_by_this_model, talk(model(MARKED, "a")), talk(model("a")), "another account's", terms(mark="there")),
    row(turns.thoughts_are_sealed_by_this_model, talk(model(SEALED, "a")), talk(model("a")), "not wanted this time",
        terms(unsealed=True)),

    same(media.there_are_ten_pictures_at_most, talk(user(*[PIC] * 6), model("b"), user(*[PIC] * 4)), "ten"),
    row(media.there_are_ten_pictures_at_most, talk(user("a", PIC, result("a", *[PIC] * 6)), model("b"), user(*[PIC] * 4)),
        talk(user("a", *["[An image was here. It made room for newer ones.]"],
                  result("a", *["[An image was here. It made room for newer ones.]"] * 4, PIC, PIC)),
             model("b"), user(*[PIC] * 4)), "eleven: five old ones go at once"),

    same(turns.cut_answers_are_told, talk(model(call(), "text"), user(result())), "nothing known"),
    same(turns.cut_answers_are_told, talk(model(call(), "text"), user(result())), "others were", terms(cut={"b", "c"})),
    row(turns.cut_answers_are_told, talk(model(call()), user(result())), talk(model(call()), user(result("a", cuts.CUT_CALL, "done"))),
        "a call", terms(cut={"a"})),
    row(turns.cut_answers_are_told, talk(model("half an ", "answer"), user("go on")),
        talk(model("half an ", "answer"), user(cuts.CUT_TEXT, "go on")), "a text", terms(cut={cuts.key("half an answer")})),

    same(calls.arguments_are_objects, talk(model(call())), "an object"),
    row(calls.arguments_are_objects, talk(model(call(input={}, raw='{"path": "/tm'))),
        talk(model(call(input={"unparsed_arguments": '{"path": "/tm'}))), "a stump"),

    same(calls.ids_are_plain, talk(model(call("toolu_01-A")), user(result("toolu_01-A"))), "plain"),
    row(calls.ids_are_plain, talk(model(call("call_1|fc_2")), user(result("call_1|fc_2"))),
        talk(model(call("call_1_fc_2_4c8ac5e5ca00e553")), user(result("call_1_fc_2_4c8ac5e5ca00e553"))), "a bar"),
    row(calls.ids_are_plain, talk(model(call("x" * 65)), user(result("x" * 65))),
        talk(model(call("x" * 47 + "_9537c5fdf120482f")), user(result("x" * 47 + "_9537c5fdf120482f"))), "long"),

    same(calls.ids_are_unique, talk(model(call("a"), call("b")), user(result("a"), result("b"))), "unique"),
    row(calls.ids_are_unique, talk(model(call("a")), user(result("a")), model(call("a")), user(result("a", "again"))),
        talk(model(call("a")), user(result("a")), model(call("a_2")), user(result("a_2", "again"))), "compacted"),
    row(calls.ids_are_unique, talk(model(call("a"), call("a"), call("a_2")), user(result("a", "1"), result("a", "2"))),
        talk(model(call("a"), call("a_2"), call("a_2_2")), user(result("a", "1"), result("a_2", "2"))), "in one turn"),
    row(calls.ids_are_unique, talk(model(call("a")), user("stop"), model(call("a")), user(result("a"))),
        talk(model(call("a")), user("stop"), model(call("a_2")), user(result("a_2"))), "the later call was answered"),

    same(pairs.failed_results_say_so, talk(user(result("a", failed=False))), "it did not fail"),
    row(pairs.failed_results_say_so, talk(user(result("a", "no such file", failed=True))),
        talk(user(result("a", "The tool call failed.", "no such file", failed=True))), "it failed"),

    same(pairs.every_result_says_something, talk(user(result("a", "x"), result("b", PIC))), "it does"),
    row(pairs.every_result_says_something, talk(user(Result("a"), result("b", ""))),
        talk(user(result("a", "(no output)"), result("b", "(no output)"))), "nothing, and empty text"),

    same(pairs.results_stand_behind_their_calls, talk(model(call("a"), call("b")), user(result("a"), "x", result("b"))), "they do"),
    row(pairs.results_stand_behind_their_calls, talk(model(call("a"), call("b")), user(result("b"), result("a"), "x")),
        talk(model(call("a"), call("b")), user(result("a"), result("b"), "x")), "in another order"),
    row(pairs.results_stand_behind_their_calls,
        talk(model(call("a")), user("wait"), model("ok", call("b")), user(result("a"), result("b"))),
        talk(model(call("a")), user(result("a"), "wait"), model("ok", call("b")), user(result("b"))), "too late"),
    row(pairs.results_stand_behind_their_calls, talk(user(result("a"), "x"), model(call("a")), user("y")),
        talk(user("x"), model(call("a")), user(result("a"), "y")), "too early"),
    row(pairs.results_stand_behind_their_calls, talk(user("x", result("z", "lost", PIC))),
        talk(user("x", "Result of the tool call z, which is not part of this conversation:", "lost", PIC)), "of no call"),
    row(pairs.results_stand_behind_their_calls, talk(model(call("a")), user(result("a", "1"), result("a", "2"))),
        talk(model(call("a")), user(result("a", "1"), "Another result of the tool call a:", "2")), "twice"),
    row(pairs.results_stand_behind_their_calls, talk(user(result("a", "0")), model(call("a")), user(result("a", "1"))),
        talk(user("Another result of the tool call a:", "0"), model(call("a")), user(result("a", "1"))),
        "twice: the one in its place is it"),

    same(pairs.every_call_is_answered, talk(model(call()), user(result())), "answered"),
    row(pairs.every_call_is_answered, talk(model(call("a"), call("b")), user("stop", result("b"))),
        talk(model(call("a"), call("b")), user(NOT_RUN, result("b"), "stop")), "interrupted"),

    same(tools.only_allowed_tools_are_declared, talk(tools=(READ,)), "auto"),
    same(tools.only_allowed_tools_are_declared, talk(tools=(READ,), choice=Choice("any")), "any"),
    row(tools.only_allowed_tools_are_declared, talk(tools=(READ,), choice=Choice("none")), talk(choice=Choice("none")), "none"),
    row(tools.only_allowed_tools_are_declared, talk(tools=(READ, Tool("x")), choice=Choice("named", "read")),
        talk(tools=(READ,), choice=Choice("named", "read")), "named"),
    row(tools.only_allowed_tools_are_declared, talk(tools=(READ, Tool("x"), Tool("y")), choice=Choice(allowed=("x", "read"))),
        talk(tools=(READ, Tool("x")), choice=Choice(allowed=("x", "read"))), "allowed"),

    same(tools.tools_are_unique, talk(tools=(READ, Tool("Read"))), "two"),
    row(tools.tools_are_unique, talk(tools=(READ, READ)), talk(tools=(READ,)), "the same twice"),
    row(tools.tools_are_unique, talk(tools=(READ, Tool("read", "Other", {}))),
        talk(tools=(replace(READ, description="Reads a file\n\nAlso declared as: Other\nInput: {}"),)), "another of the name"),

    same(pairs.without_tools_no_tool_turns, talk(model(call()), user(result()), tools=(READ,)), "with tools"),
    same(pairs.without_tools_no_tool_turns, talk(user("a")), "no calls"),
    row(pairs.without_tools_no_tool_turns, talk(user("a"), model("b", call()), user(result("a", "done", PIC), "c")),
        talk(user("a"), model("b"), user('The tool read was called with {"path":"x"} and gave:', "done", PIC, "c")), "told"),

    same(tools.tools_of_the_history_are_declared, talk(model(call(name="READ")), tools=(READ,)), "declared"),
    row(tools.tools_of_the_history_are_declared, talk(model(call(name="old"), call("b", "OLD")), tools=(READ,)),
        talk(model(call(name="old"), call("b", "OLD")), tools=(READ, Tool("old", tools.GONE, SCHEMA))), "no longer there"),

    same(tools.tool_names_fit, talk(model(call(name="mcp__a-b")), tools=(Tool("mcp__a-b"),)), "they fit"),
    row(tools.tool_names_fit,
        talk(model(call(name="a.b")), user(result()), tools=(Tool("a.b"), READ), choice=Choice("named", "a.b", allowed=("a.b",))),
        talk(model(call(name="a_b_2e7336dc8e")), user(result()), tools=(Tool("a_b_2e7336dc8e"), READ),
             choice=Choice("named", "a_b_2e7336dc8e", allowed=("a_b_2e7336dc8e",))), "everywhere"),

    same(tools.schemas_are_acceptable, talk(tools=(READ,)), "it is"),
    row(tools.schemas_are_acceptable, talk(tools=(Tool("x", "D\0", {"type": "array", "$schema": "y"}),)),
        talk(tools=(Tool("x", 'D\n\nThe input must fit the JSON schema {"type":"array"}.', SCHEMA),)), "not an object"),

    same(tools.every_tool_is_described, talk(tools=(READ,)), "it is"),
    row(tools.every_tool_is_described, talk(tools=(Tool("x", " \n", SCHEMA),)), talk(tools=(Tool("x", "The tool x.", SCHEMA),)), "blank"),

    same(tools.long_descriptions_are_system_text, talk(tools=(Tool("x", "d" * 10_000),)), "10,000 characters"),
    row(tools.long_descriptions_are_system_text, talk(tools=(READ, Tool("x", LONG, SCHEMA)), system=("S",)),
        talk(system=("S", f"# Tool: x\n\n{LONG}"), tools=(READ, Tool(
            "x", ("word " * 99).rstrip() + ' [...]\n\nThe whole description stands in the system text, under "Tool: x".',
            SCHEMA))), "more"),

    same(media.attachments_stand_beside_the_results, talk(user(result("a", "x"), PIC)), "they do"),
    row(media.attachments_stand_beside_the_results, talk(user(result("a", "x", PIC), "see")),
        talk(user(result("a", "x", "(image 1 of this message)"), PIC, "see")), "one picture"),
    row(media.attachments_stand_beside_the_results, talk(user(GIF_PIC, result("a", PIC), result("b", GIF_PIC, FILE))),
        talk(user(result("a", "(image 1 of this message)"), result("b", "(image 2 of this message)", '(the attached document "report")'),
                  "Images of this message:\n1. from the result of a\n2. from the result of b\n3. from the user",
                  PIC, GIF_PIC, FILE, GIF_PIC)), "several, in the order of the results"),

    same(prompt.the_choice_is_told, talk(tools=(READ,)), "auto"),
    row(prompt.the_choice_is_told, talk(tools=(READ,), choice=Choice("any", parallel=False), system=("S",)),
        talk(tools=(READ,), system=("S", "Your next answer must call at least one tool. Call at most one tool in an answer, and"
                                    " wait for its result.")), "any, one at a time"),
    row(prompt.the_choice_is_told, talk(tools=(READ,), choice=Choice("named", "read")),
        talk(tools=(READ,), system=("Your next answer must call the tool read.",)), "named"),
    row(prompt.the_choice_is_told, talk(tools=(READ, Tool("old")), choice=Choice(allowed=("read",))),
        talk(tools=(READ, Tool("old")), system=("Call no other tools than these: read.",)), "allowed, and one of the history"),
    same(prompt.the_choice_is_told, talk(tools=(READ,), choice=Choice(allowed=("read",))), "allowed is all that there is"),
    same(prompt.the_choice_is_told, talk(choice=Choice("none", parallel=False)), "none needs no words"),

    same(prompt.the_format_is_told, talk(), "any text"),
    row(prompt.the_format_is_told, talk(format=Format()),
        talk(system=("The text of your final answer must be one JSON object and nothing else: no words around it and no code"
                     " fence.",)), "any object"),
    row(prompt.the_format_is_told, talk(format=Format({"type": "object"})),
        talk(system=('The text of your final answer must be JSON that fits the JSON schema {"type":"object"} and nothing else:'
                     " no words around it and no code fence.",)), "by a schema"),

    same(obey.missing_server_tools_are_told, talk(), "none"),
    row(obey.missing_server_tools_are_told, talk(left_out=("code_execution", "web_fetch")),
        talk(system=("These tools are not available in this session: code_execution, web_fetch.",)), "two"),

    same(prompt.thinking_is_asked_for, talk(user("a")), "nobody asked", terms(HAIKU)),
    same(prompt.thinking_is_asked_for, talk(thinking=Thinking("on", budget=9000)), "by itself"),
    same(prompt.thinking_is_asked_for, talk(thinking=Thinking("off")), "unwanted", terms(HAIKU)),
    row(prompt.thinking_is_asked_for, talk(thinking=Thinking("on", budget=9000), system=("S",)),
        talk(system=(effort.tags(Thinking("on", budget=9000), SHAPE), "S")), "emulated", terms(HAIKU)),

    same(prompt.the_system_text_begins_the_first_turn, talk(user("a")), "none"),
    row(prompt.the_system_text_begins_the_first_turn, talk(user("a"), model("b"), user("c"), system=("S", "", "T")),
        talk(user("S\n\nT", "a"), model("b"), user("c")), "two blocks"),
    row(prompt.the_system_text_begins_the_first_turn, talk(user("a"), system=(" ",)), talk(user("a")), "blank"),

    same(turns.no_turn_is_empty, talk(user("a"), model(call()), user(result()), model(" "), user("b")), "none is"),
    row(turns.no_turn_is_empty, talk(user(""), model(SEALED, "\n"), user(PIC, " ")),
        talk(user("Continue"), model(SEALED, " "), user(PIC, "See what is attached.")), "each kind"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "sent", "got", "terms"), ROWS)
def test_what_holds_afterwards(rule, sent, got, terms):
    once = rule(sent, terms)
    assert once == got
    assert (once is sent) == (sent == got)  # untouched means the same object
    assert rule(once, terms) is once


def test_every_rule_has_rows_for_both():
    changed = {param.values[0] for param in ROWS if param.values[1] != param.values[2]}
    kept = {param.values[0] for param in ROWS if param.values[1] == param.values[2]}
    assert set(RULES) == changed == kept
    assert len(set(RULES)) == len(RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_rule_has_a_reason(rule):
    assert "kiro " in rule.__doc__ or rule is obey.missing_server_tools_are_told


HUGE = base64.b64encode(png() + b"\0" * 10_000_000).decode()
REFUSED = [
    # rule, what the client sent, the field, the beginning of the words
    pytest.param(talk(user("a"), model("b"), user("c", Image("AAAA", "image/png"))), "messages.2.content.1",
                 "the image is neither PNG", id="no picture"),
    pytest.param(talk(user(result("a", Image("%%%", "image/png")))), "messages.0.content.0.content.0",
                 "the image is no valid base64", id="no base64"),
    pytest.param(talk(user(Image(HUGE))), "messages.0.content.0", "the image has 10,000,0", id="a large picture"),
    pytest.param(talk(user(Image(base64.b64encode(png(8001)).decode()))), "messages.0.content.0",
                 "the image is 8001 x 1 pixels", id="a wide picture"),
    pytest.param(talk(user(*[PIC] * 11)), "messages.0.content", "the last message holds 11 images", id="eleven at once"),
    pytest.param(talk(user(*files(6))), "messages.0.content.5", "the document 'f6'", id="a sixth document without text"),
    pytest.param(talk(user(Document("a.zip", "application/zip", PDF))), "messages.0.content.0", "the document 'a.zip'",
                 id="a document of another kind"),
    pytest.param(talk(user(Document("a.bin", "text/x-odd", "/w=="))), "messages.0.content.0", "the document 'a.bin'",
                 id="a text that is none"),
    pytest.param(talk(choice=Choice("any")), "tool_choice", "tool_choice asks for a tool call", id="any of no tools"),
    pytest.param(talk(tools=(READ,), choice=Choice("named", "write")), "tool_choice", "tool_choice names a tool", id="named"),
    pytest.param(talk(tools=(READ,), choice=Choice(allowed=("read", "x"))), "tool_choice", "tool_choice names", id="allowed"),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "param", "words"), REFUSED)
def test_what_can_not_be_carried_is_an_error(sent, param, words):
    with pytest.raises(BadRequest) as caught:
        obey.obey(RULES, sent, TERMS)
    assert (caught.value.param, str(caught.value)[: len(words)]) == (param, words)


def test_deep_arguments_are_an_error():
    deep = value = {}
    for _ in range(300):
        value["a"] = {}
        value = value["a"]
    with pytest.raises(BadRequest, match="nested deeper"):
        obey.obey(RULES, talk(model(Call("a", "read", deep))), TERMS)


@settings(max_examples=150, deadline=None)
@given(conversations())
def test_obeying_twice_is_obeying_once(conversation):
    try:
        once, _ = obey.obey(RULES, conversation, TERMS)
    except BadRequest:
        return
    assert obey.obey(RULES, once, TERMS) == (once, ())


def test_the_names_of_the_rules_that_did_something_are_told():
    sent = Turn("user", (Text("a"),)), Turn("model", (Text("b"),))
    assert obey.obey(RULES, talk(*sent), TERMS)[1] == ("the_user_ends", "no_turn_is_empty")

"""What the upstream lacks and the gateway does, through a real one: what reached the upstream, and what the client got."""

import json
from itertools import pairwise

import pytest

from tests.system.raw import eventually
from tests.system.said import FORMS, IDS, answered, current, declared, history, payloads, results, say, tool, user
from tests.system.talk import FACES

EACH = pytest.mark.parametrize(("face", "stream"), FORMS, ids=IDS)
STOPS = {"messages": "stop_sequences", "chat": "stop"}
ENDS = {
    "messages": {"end": "end_turn", "calls": "tool_use", "stop": "stop_sequence", "length": "max_tokens"},
    "chat": {"end": "stop", "calls": "tool_calls", "stop": "stop", "length": "length"},
}
TWO_CALLS = [{"tool": "read", "input": {"path": "a"}, "id": "t1"}, {"tool": "write", "input": {"path": "b"}, "id": "t2"}]


def tools(face, *names):
    return [tool(face, name) for name in names or ("read", "write")]


# Stop sequences and limits


@pytest.mark.parametrize("pieces", [1, 3, 1000])
@EACH
def test_a_stop_sequence_cuts_exactly(twin, gateway, face, stream, pieces):
    twin.script([[{"text": "one two STOP three", "pieces": pieces}]])
    answer = say(gateway, face, stream, "Count.", **{STOPS[face]: ["THE END", "STOP"]})
    assert (answer.text, answer.stop) == ("one two ", ENDS[face]["stop"])
    assert answer.body.get("stop_sequence") == ("STOP" if face == "messages" else None)
    assert answer.usage["output_tokens" if face == "messages" else "completion_tokens"] > 0
    assert b"STOP" not in twin.seen()[0].body  # the upstream does not know it


@pytest.mark.parametrize("face", FACES)
def test_the_upstream_is_left_where_the_client_wants_no_more(twin, gateway, face):
    twin.script([[{"text": "one two STOP " + "three " * 20_000, "pace": 0.05}]])
    answer = say(gateway, face, True, "Count.", **{STOPS[face]: ["STOP"]})
    assert answer.text == "one two "
    assert eventually(lambda: twin.seen()[0].gone)


@EACH
def test_a_stop_sequence_that_never_comes(twin, gateway, face, stream):
    twin.script([[{"text": "one two STO", "pieces": 1}]])
    answer = say(gateway, face, stream, "Count.", **{STOPS[face]: ["STOP"]})
    assert (answer.text, answer.stop) == ("one two STO", ENDS[face]["end"])


@EACH
def test_max_tokens_cuts(twin, gateway, face, stream):
    words = " ".join(f"word{n}" for n in range(100))
    twin.script([[{"text": words}]])
    answer = say(gateway, face, stream, "Count.", max_tokens=20)
    assert words.startswith(answer.text) and 20 < len(answer.text) < 120
    assert answer.stop == ENDS[face]["length"]
    assert 16 <= answer.usage["output_tokens" if face == "messages" else "completion_tokens"] <= 20
    assert "additionalModelRequestFields" not in payloads(twin)[0]  # a limit there would cut in mid-thought


# Tools


CHOICES = {
    "none": ({"type": "none"}, "none"),
    "any": ({"type": "any"}, "required"),
    "named": ({"type": "tool", "name": "write"}, {"type": "function", "function": {"name": "write"}}),
}
TOLD = {
    "none": ([], None), "any": (["read", "write"], "Your next answer must call at least one tool."),
    "named": (["write"], "Your next answer must call the tool write."),
}  # fmt: skip


@pytest.mark.parametrize("choice", CHOICES)
@EACH
def test_tool_choice(twin, gateway, face, stream, choice):
    """What may not be called is not declared; what must be is asked for."""
    twin.script([[{"text": "Well."}]])
    wish = CHOICES[choice][FACES.index(face)]
    assert say(gateway, face, stream, "Go.", tools=tools(face), tool_choice=wish).text == "Well."
    names, words = TOLD[choice]
    (sent,) = payloads(twin)
    assert list(declared(sent)) == names
    assert current(sent)["content"] == (f"{words}\n\nGo." if words else "Go.")


@pytest.mark.parametrize("stream", [True, False])
def test_allowed_tools(twin, gateway, stream):
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "write"}}]}
    say(gateway, "chat", stream, "Go.", tools=tools("chat"), tool_choice={"type": "allowed_tools", "allowed_tools": allowed})
    (sent,) = payloads(twin)
    assert list(declared(sent)) == ["write"]
    assert "must call" in current(sent)["content"]


@EACH
def test_one_call_at_a_time(twin, gateway, face, stream):
    twin.script([TWO_CALLS, TWO_CALLS])
    wish = {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}} if face == "messages" else {"parallel_tool_calls": False}
    answer = say(gateway, face, stream, "Go.", tools=tools(face), **wish)
    assert [(id, name, json.loads(text)) for id, name, text in answer.calls] == [("t1", "read", {"path": "a"})]
    assert answer.stop == ENDS[face]["calls"]
    assert "at most one tool" in current(payloads(twin)[0])["content"]
    assert [name for _, name, _ in say(gateway, face, stream, "Go.", tools=tools(face)).calls] == ["read", "write"]


LONG = "mcp__" + "a_server_with_a_long_name__" * 2 + "and_a_long_tool_name"
ODD = "mail.send now"


@EACH
def test_long_names_and_odd_ids_there_and_back(twin, gateway, face, stream):
    assert len(LONG) > 76
    asked = [user("Go.")]
    more = {"tools": [tool(face, LONG), tool(face, ODD), tool(face, "read")]}
    say(gateway, face, False, messages=asked, **more)
    first, second, plain = declared(payloads(twin)[0])
    assert plain == "read" and max(len(first), len(second)) <= 64
    twin.reset()
    twin.script([[{"tool": first, "input": {"path": "a"}, "id": "t1"}, {"tool": second, "input": {"path": "b"}, "id": "t2"}], [{"text": "Done."}]])
    answer = say(gateway, face, stream, messages=asked, **more)
    assert [name for _, name, _ in answer.calls] == [LONG, ODD]
    ids = ["call_1|fc_0123" + "x" * 80, "functions.mail:0"]  # as other APIs make them, and clients that changed over
    text = json.dumps(answer.back).replace('"t1"', f'"{ids[0]}"').replace('"t2"', f'"{ids[1]}"')
    asked += [json.loads(text), *results(face, (ids[1], "sent"), (ids[0], "found"))]
    assert say(gateway, face, stream, messages=asked, **more).text == "Done."
    sent = payloads(twin)[1]
    uses = history(sent)[1]["toolUses"]
    assert [use["name"] for use in uses] == [first, second]
    assert list(answered(sent).items()) == [(uses[0]["toolUseId"], "found"), (uses[1]["toolUseId"], "sent")]
    assert all(len(use["toolUseId"]) <= 64 for use in uses)


@EACH
def test_a_huge_description_moves_to_the_system_text(twin, gateway, face, stream):
    words = "Reads a file. " + "It reads and reads. " * 1000
    say(gateway, face, stream, "Go.", tools=[tool(face, "read", words)])
    (sent,) = payloads(twin)
    assert len(declared(sent)["read"]["description"]) < 1000
    assert current(sent)["content"].startswith(f"# Tool: read\n\n{words[:100]}")
    assert words.strip() in current(sent)["content"]


# The form of the answer


PERSON = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}, "required": ["name", "age"]}
WISHES = {
    "messages": {"output_config": {"format": {"type": "json_schema", "schema": PERSON}}},
    "chat": {"response_format": {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON, "strict": True}}},
}
ADA = '{"name": "Ada", "age": 36}'


@pytest.mark.parametrize("said", [ADA, f"```json\n{ADA}\n```", f"Here you are: {ADA} Enjoy."], ids=["bare", "fenced", "with words"])
@EACH
def test_structured_output(twin, gateway, face, stream, said):
    twin.script([[{"text": said}]])
    answer = say(gateway, face, stream, "Who?", **WISHES[face])
    assert (answer.text, answer.stop) == (ADA, ENDS[face]["end"])
    (sent,) = payloads(twin)
    assert json.dumps(PERSON, separators=(",", ":")) in current(sent)["content"]
    assert current(sent)["content"].endswith("\n\nWho?")


@EACH
def test_structured_output_that_is_wrong_is_asked_for_again(twin, gateway, face, stream):
    twin.script([[{"text": '{"name": "Ada"}'}], [{"text": ADA}]])
    answer = say(gateway, face, stream, "Who?", **WISHES[face])
    assert (answer.text, answer.stop) == (ADA, ENDS[face]["end"])
    first, second = payloads(twin)
    assert [message["content"] for message in history(second)] == [current(first)["content"], '{"name": "Ada"}']
    assert current(second)["content"].startswith("That is not in the required format: at $: 'age' is a required property.")


@EACH
def test_structured_output_that_is_wrong_twice_is_an_error(twin, gateway, face, stream):
    twin.script([{"steps": [{"text": "I am Ada."}], "repeat": True}])
    answer = say(gateway, face, stream, "Who?", **WISHES[face])
    assert "not in the required format twice over" in answer.error["message"]
    assert (answer.text, answer.stop, len(twin.seen())) == ("", "", 2)
    assert answer.status == 502 or (stream and answer.status == 200)


@pytest.mark.parametrize("stream", [True, False])
def test_a_json_object(twin, gateway, stream):
    twin.script([[{"text": "[1]"}], [{"text": '{"a": [1]}'}]])
    assert say(gateway, "chat", stream, "Go.", response_format={"type": "json_object"}).text == '{"a": [1]}'


@EACH
def test_calls_before_structured_output_pass(twin, gateway, face, stream):
    twin.script([[{"text": "I look."}, {"tool": "read", "input": {"path": "a"}}]])
    answer = say(gateway, face, stream, "Who?", tools=tools(face), **WISHES[face])
    assert (answer.text, [name for _, name, _ in answer.calls], answer.stop) == ("I look.", ["read"], ENDS[face]["calls"])


@EACH
def test_a_schema_that_is_none_is_refused_with_its_path(twin, gateway, face, stream):
    wish = json.loads(json.dumps(WISHES[face]).replace('"integer"', '"number of years"'))
    answer = say(gateway, face, stream, "Who?", **wish)
    path = {"messages": "output_config.format.schema", "chat": "response_format.json_schema.schema"}[face]
    assert (answer.status, twin.seen()) == (400, [])
    assert f"{path}.properties.age.type" in answer.error["message"]


# Messages of all kinds


@EACH
def test_prefill(twin, gateway, face, stream):
    """The words that the client laid into the model's mouth stand in the history, and the user asks to go on."""
    twin.script([[{"text": '"Ada"}'}]])
    answer = say(gateway, face, stream, messages=[user("Who?"), {"role": "assistant", "content": '{"name": '}])
    assert answer.text == '"Ada"}'
    (sent,) = payloads(twin)
    assert [message["content"] for message in history(sent)] == ["Who?", '{"name": ']
    assert current(sent)["content"] == "Continue"


@pytest.mark.parametrize("stream", [True, False])
def test_several_answers_are_refused(twin, gateway, stream):
    answer = say(gateway, "chat", stream, "Go.", n=2)
    assert (answer.status, answer.error["param"], twin.seen()) == (400, "n", [])


@EACH
def test_system_messages_in_mid_conversation(twin, gateway, face, stream):
    system = {"system": "Be brief."} if face == "messages" else {}
    before = [{"role": "system", "content": "Be brief."}] if face == "chat" else []
    say(gateway, face, stream, messages=[
        *before, user("One."), {"role": "assistant", "content": "Yes."}, user("Two."),
        {"role": "system", "content": "Now in French."},
    ], **system)  # fmt: skip
    (sent,) = payloads(twin)
    assert [message["content"] for message in history(sent)] == ["Be brief.\n\nOne.", "Yes."]
    assert current(sent)["content"] == "Two.\n\n<system-message>\nNow in French.\n</system-message>"


# What was cut off


HALF = '{"path": "a", "content": "half'

@EACH
def test_a_cut_call_is_told_in_the_next_turn(twin, gateway, face, stream):
    """It goes out as the stump that it is, and the model hears why when its result comes."""
    twin.script([
        [{"text": "I write."}, {"tool": "write", "input": HALF, "id": f"cut-{face}-{stream}", "finished": False}, {"stop": "MAX_TOKENS"}],
        {"steps": [{"text": "I see."}], "repeat": True},
    ])  # fmt: skip
    asked, more = [user("Write.")], {"tools": tools(face)}
    first = say(gateway, face, stream, messages=asked, **more)
    assert first.stop == ENDS[face]["length"]
    ((id, _, stump),) = first.calls
    whole_messages = face == "messages" and not stream  # which has no place for arguments that are no JSON
    assert (json.loads(stump)["__unparsedToolInput"]["raw"] if whole_messages else stump) == HALF
    asked += [first.back, *results(face, (id, "Error: the arguments are no JSON."))]
    for _ in range(2):  # it stays told, for what went before must not change
        assert say(gateway, face, stream, messages=asked, **more).text == "I see."
    notes = [answered(payload)[id] for payload in payloads(twin)[1:]]
    assert notes[0].startswith("Note: the call above was cut off") and notes[0].endswith("the arguments are no JSON.")
    assert notes[0] == notes[1]
    assert history(payloads(twin)[1])[1]["toolUses"][0]["input"] == {"unparsed_arguments": HALF}


@EACH
def test_a_cut_text_is_told_in_the_next_turn(twin, gateway, face, stream):
    text = f"A long story of {face} {stream} that"
    twin.script([[{"text": text}, {"stop": "MAX_TOKENS"}], [{"text": "And so on."}]])
    first = say(gateway, face, stream, "Tell.")
    assert (first.text, first.stop) == (text, ENDS[face]["length"])
    assert say(gateway, face, stream, messages=[user("Tell."), first.back, user("Go on.")]).text == "And so on."
    assert current(payloads(twin)[1])["content"].startswith("Note: your last answer was cut off")
    assert current(payloads(twin)[1])["content"].endswith("\n\nGo on.")


# What stays the same


SESSIONS = {
    "messages": {"metadata": {"user_id": json.dumps({"device_id": "d", "session_id": "s1"})}}, "chat": {"prompt_cache_key": "s1"},
}  # fmt: skip


@pytest.mark.parametrize("face", FACES)
def test_a_session_is_one_conversation(twin, gateway, face):
    for n, more in enumerate((SESSIONS[face], SESSIONS[face], {})):
        say(gateway, face, False, f"Word {n}.", **more)
    say(gateway, face, False, "Word 3.", headers={"x-session-id": "s1"})
    ids = [payload["conversationState"]["conversationId"] for payload in payloads(twin)]
    assert ids[0] == ids[1] == ids[3] != ids[2]


@pytest.mark.parametrize("face", FACES)
def test_a_growing_conversation_keeps_its_beginning(twin, gateway, face):
    """Byte for byte, so that the upstream's cache can know it again; over calls, results, thoughts and odd ids."""
    twin.script([{"steps": [{"thinking": "Hm."}, {"text": "I look."}, {"tool": "read", "input": {"path": "ä"}}], "repeat": True}])
    asked, more = [user("Go.")], {"tools": [tool(face, "read"), tool(face, ODD)]}
    system = [{"role": "system", "content": "Be brief."}] if face == "chat" else []
    more |= {"system": [{"type": "text", "text": "Be brief."}], "thinking": {"type": "adaptive"}} if face == "messages" else {}
    for n in range(4):
        answer = say(gateway, face, n % 2 == 0, messages=system + asked, **more)
        asked += [answer.back, *results(face, (answer.calls[0][0], f"result {n} é"))]
    bodies = [seen.body for seen in twin.seen()]
    assert len({payload["conversationState"]["conversationId"] for payload in payloads(twin)}) == 1
    for one, next_ in pairwise(bodies):
        before = b'"history":[' + one.partition(b'"history":[')[2].partition(b'],"currentMessage"')[0]
        assert before in next_
        grown, was = history(json.loads(next_)), json.loads(one)
        assert len(grown) == len(history(was)) + 2
        assert grown[-2] == without_tools(current(was))


def without_tools(message):
    context = {name: value for name, value in message["userInputMessageContext"].items() if name != "tools"}
    kept = {name: value for name, value in message.items() if name != "userInputMessageContext"}
    return {**kept, "userInputMessageContext": context} if context else kept

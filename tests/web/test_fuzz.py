"""Requests that are nearly right: an answer or a refusal, and never a fault of the gateway or a request that Kiro
would call malformed.
"""

import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.dialects.conversations import PNG
from tests.system.talk import EVERY, MODEL, failure, finished

SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
GOOD = {
    "messages": {
        "model": MODEL, "max_tokens": 100, "stream": False, "system": [{"type": "text", "text": "Be brief."}],
        "temperature": 0.5, "stop_sequences": ["END"], "metadata": {"user_id": "u"}, "tool_choice": {"type": "auto"},
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "tools": [{"name": "read", "description": "Read.", "input_schema": SCHEMA}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Look."}, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}]},
            {"role": "assistant", "content": [{"type": "text", "text": "I read."}, {"type": "tool_use", "id": "toolu_1", "name": "read", "input": {"path": "a"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "b"}]}]},
        ],
    },
    "chat": {
        "model": MODEL, "max_completion_tokens": 100, "stream": False, "stream_options": {"include_usage": True}, "stop": ["END"],
        "temperature": 0.5, "user": "u", "tool_choice": "auto", "parallel_tool_calls": False, "reasoning_effort": "low",
        "response_format": {"type": "text"},
        "tools": [{"type": "function", "function": {"name": "read", "description": "Read.", "parameters": SCHEMA}}],
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Look."}, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}]},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "read", "arguments": '{"path": "a"}'}}]},
            {"role": "tool", "tool_call_id": "call_1", "content": "b"},
        ],
    },
    "responses": {
        "model": MODEL, "max_output_tokens": 100, "stream": False, "instructions": "Be brief.", "temperature": 0.5, "store": True,
        "previous_response_id": None,
        "include": ["reasoning.encrypted_content"], "metadata": {"a": "b"}, "parallel_tool_calls": False, "truncation": "auto",
        "reasoning": {"effort": "low", "summary": "auto"}, "text": {"format": {"type": "text"}, "verbosity": "low"}, "tool_choice": "auto",
        "tools": [
            {"type": "function", "name": "read", "description": "Read.", "parameters": SCHEMA, "strict": False},
            {"type": "custom", "name": "patch", "description": "Patch.", "format": {"type": "grammar", "syntax": "lark", "definition": "start: X"}},
            {"type": "namespace", "name": "ns", "description": "N.", "tools": [{"type": "function", "name": "f", "description": "F.", "parameters": SCHEMA}]},
            {"type": "local_shell"},
        ],
        "input": [
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Mind."}]},
            {"role": "user", "content": [{"type": "input_text", "text": "Look."}, {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}]},
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "So."}], "encrypted_content": None},
            {"type": "message", "role": "assistant", "id": "msg_1", "content": [{"type": "output_text", "text": "I read.", "annotations": []}]},
            {"type": "function_call", "call_id": "call_1", "name": "read", "arguments": '{"path": "a"}'},
            {"type": "function_call_output", "call_id": "call_1", "output": "b"},
            {"type": "custom_tool_call", "call_id": "call_2", "name": "patch", "input": "*** Begin"},
            {"type": "custom_tool_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": "done"}]},
            {"type": "local_shell_call", "call_id": "call_3", "status": "completed", "action": {"type": "exec", "command": ["ls"], "env": {}}},
            {"type": "local_shell_call_output", "call_id": "call_3", "output": "a b"},
        ],
    },
    "completions": {
        "model": MODEL, "max_tokens": 100, "stream": False, "stream_options": {"include_usage": True}, "stop": ["END"],
        "temperature": 0.5, "user": "u", "prompt": ["Say this."], "n": 1, "echo": False, "best_of": 1,
    },
}  # fmt: skip


def places(value, path=()):
    """The path of every value in a JSON tree."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


ODD = st.one_of(
    st.sampled_from([
        None, True, False, 0, -1, 1, 2**70, -0.5, 1e308, "", " ", "a", "\0", "\ud83d", "x\udc00y", "\u2028", "é" * 300, [], {},
        [[]], [None], {"": ""}, {"type": "text"}, {"type": "text", "text": "t"}, [{"type": "text", "text": ""}], {"a": {"b": [1]}},
        "user", "assistant", "system", "tool", "developer", "auto", "none", "any", {"type": "none"}, {"type": "tool", "name": "no"},
        {"type": "json_object"}, {"type": "web_search_20250305", "name": "web_search"}, {"$ref": "#"}, {"id": "msg_x"}, "data:image/png;base64,AAAA",
    ]),
    st.text(st.characters(exclude_categories=()), max_size=5),
)  # fmt: skip


@st.composite
def requests(draw, face):
    body = copy.deepcopy(GOOD[face])
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(sorted(places(body), key=str)))
        parent = body
        for key in path[:-1]:
            parent = parent[key]
        act = draw(st.sampled_from(["replace", "replace", "remove", "twice"]))
        if act == "remove":
            del parent[path[-1]]
        elif act == "twice" and isinstance(parent, list):
            parent.insert(path[-1], copy.deepcopy(parent[path[-1]]))
        else:
            parent[path[-1]] = copy.deepcopy(draw(ODD))
    return body


def send(client, face, body):
    """ASCII and no NaN, as every client writes it; json writes halves of pairs as they are."""
    return client.post(EVERY[face], data=json.dumps(body), content_type="application/json")


@pytest.mark.parametrize("face", EVERY)
def test_the_request_itself_is_good(client, twin, face):
    assert send(client, face, GOOD[face]).status_code == 200
    assert twin.refusals == []


@pytest.mark.refuses("model")
@pytest.mark.parametrize("face", EVERY)
@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nearly_right(client, twin, face, data):
    body = data.draw(requests(face))
    twin.reset()
    reply = send(client, face, body)
    assert reply.status_code in (200, 400, 404), reply.data
    unknown = {"model"}  # a name that nobody knows is for Kiro to refuse
    assert {refusal.row for refusal in twin.refusals} <= unknown, (twin.refusals, body)
    if reply.status_code == 200 and reply.content_type.startswith("text/event-stream"):
        assert finished(face, reply.data) and failure(reply.data) is None
    elif reply.status_code == 400:
        assert twin.seen() == [] or twin.refusals

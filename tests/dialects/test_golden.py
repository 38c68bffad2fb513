"""Whole answers, byte for byte, of all faces. UPDATE_GOLDEN=1 writes the files anew; then read the difference."""

import os
from pathlib import Path

import orjson
import pytest

from kirogw.answer import CallDelta, CallStart, Stop, Usage, collect
from kirogw.convert import FACES
from kirogw.dialects.face import Ask
from kirogw.errors import BrokenAnswer, Overloaded, QuotaUsed
from tests.dialects.answers import ANSWERS, HEADING

GOLDEN = Path(__file__).parent / "golden"
UPDATE = os.environ.get("UPDATE_GOLDEN") == "1"
HELLO = {"model": "claude-sonnet-4-6", "messages": [{"role": "user", "content": "Hi"}]}
ASKS = {
    "chat": HELLO, "messages": HELLO, "responses": {"model": "claude-sonnet-4-6", "input": "Hi"},
    "completions": {"model": "claude-sonnet-4-6", "prompt": "Hi"},
}  # fmt: skip
PATCH = [
    CallStart(0, "call_1", "apply_patch"), CallDelta(0, '{"inp'), CallDelta(0, 'ut": "*** Begin'),
    CallDelta(0, ' Patch\\nx \\ud83e\\udd80"}'), CallStart(1, "call_2", "read"), CallDelta(1, "{}"), Stop("calls"),
    Usage(1, 2),
]  # fmt: skip
READ = [CallStart(0, "call_1", "read"), CallDelta(0, '{"path":'), CallDelta(0, '"a"}'), Stop("calls"), Usage(1, 2)]
CUSTOM = {"tools": [{"type": "custom", "custom": {"name": "apply_patch"}},
                    {"type": "function", "function": {"name": "read"}}]}  # fmt: skip
SPECIAL = {"tools": [
    {"type": "custom", "name": "apply_patch", "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}},
    {"type": "namespace", "name": "agents", "description": "Other agents.", "tools": [
        {"type": "function", "name": "spawn", "parameters": {"type": "object"}, "strict": False},
        {"type": "custom", "name": "tell"}]},
    {"type": "local_shell"}, {"type": "shell", "environment": {"type": "local"}},
    {"type": "tool_search", "execution": "client", "parameters": {"type": "object"}},
]}  # fmt: skip
SPECIALS = [
    CallStart(0, "call_1", "apply_patch"), CallDelta(0, '{"input": "*** Begin'), CallDelta(0, ' Patch\\n"}'),
    CallStart(1, "call_2", "agents__spawn"), CallDelta(1, '{"task":'), CallDelta(1, '"x"}'),
    CallStart(2, "call_3", "agents__tell"), CallDelta(2, '{"input":"hello"}'),
    CallStart(3, "call_4", "local_shell"), CallDelta(3, '{"command":["ls"],'), CallDelta(3, '"timeout_ms":5}'),
    CallStart(4, "call_5", "shell"), CallDelta(4, '{"commands":["ls","pwd"]}'),
    CallStart(5, "call_6", "tool_search"), CallDelta(5, '{"query":"mail"}'), Stop("calls"), Usage(1, 2),
]  # fmt: skip
FILES = {"tools": [{"type": "apply_patch"}]}
CHANGED = [CallStart(0, "c", "apply_patch"), CallDelta(0, '{"type":"create_file","path":"a",'),
           CallDelta(0, '"diff":"+b"}'), Stop("calls"), Usage(1, 2)]  # fmt: skip
SEALS = {"include": ["reasoning.encrypted_content", "web_search_call.action.sources"]}
FACTS = {
    "instructions": "Be brief.", "metadata": {"team": "a"}, "temperature": 0.5, "tool_choice": "required", "store": False,
    "reasoning": {"effort": "low", "summary": "auto"}, "text": {"verbosity": "low"}, "max_output_tokens": 9,
    "tools": [{"type": "function", "name": "Bash", "parameters": {}}], "previous_response_id": "resp_x", "user": "u",
}  # fmt: skip
CASES = [(face, name, {}, events) for face in FACES for name, events in ANSWERS.items()] + [
    ("chat", "usage_asked_for", {"stream_options": {"include_usage": True}}, ANSWERS["text"]),
    ("chat", "custom_tool", CUSTOM, PATCH),
    ("chat", "legacy_function", {"functions": [{"name": "read"}]}, READ),
    ("responses", "special_tools", SPECIAL, SPECIALS),
    ("responses", "patches_of_files", FILES, CHANGED),
    ("responses", "seals", SEALS, ANSWERS["thinking"]),
    ("responses", "sources", SEALS, ANSWERS["search"]),
    ("responses", "facts", FACTS, ANSWERS["calls"]),
    ("completions", "echo", {"echo": True, "stream_options": {"include_usage": True}}, ANSWERS["text"]),
]


def ask(face, more):
    return FACES[face].read({**ASKS[face], **more}, {})


def streamed(face, asked: Ask, events, heading=HEADING):
    writer = FACES[face].writer(heading, asked)
    return writer.begin() + b"".join(writer.write([event]) for event in events) + writer.end()


def same(data, path):
    if UPDATE:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    assert data == path.read_bytes()


@pytest.mark.parametrize(("face", "name", "more", "events"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_streamed(face, name, more, events):
    same(streamed(face, ask(face, more), events), GOLDEN / face / f"{name}.sse")


@pytest.mark.parametrize(("face", "name", "more", "events"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_whole(face, name, more, events):
    asked = ask(face, more)
    body = FACES[face].whole(collect(events), HEADING, asked)
    same(orjson.dumps(body, option=orjson.OPT_INDENT_2) + b"\n", GOLDEN / face / f"{name}.json")


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("failed_broken", BrokenAnswer("The answer broke off; try again.")),
        ("failed_overloaded", Overloaded("No capacity for this model; try again.", wait=2)),
        ("failed_quota", QuotaUsed("The credits are used up.", wait=3600)),
    ],
)
def test_failed(face, name, error):
    writer = FACES[face].writer(HEADING, ask(face, {}))
    data = writer.begin() + writer.beat() + writer.write(ANSWERS["calls"][:3]) + writer.fail(error)
    same(data, GOLDEN / face / f"{name}.sse")
    for mark in (b"message_stop", b"message_delta", b"[DONE]", b'"finish_reason":"', b"response.completed"):
        assert mark not in data


def test_no_golden_file_is_left_over():
    known = {f"{face}/{name}" for face, name, _, _ in CASES}
    known |= {f"{face}/failed_{word}" for face in FACES for word in ("broken", "overloaded", "quota")}
    assert {f"{path.parent.name}/{path.stem}" for path in GOLDEN.rglob("*.*")} == known

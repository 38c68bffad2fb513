"""Whole answers, byte for byte, of both faces. UPDATE_GOLDEN=1 writes the files anew; then read the difference."""

import os
from pathlib import Path

import orjson
import pytest

from kirogw.answer import CallDelta, CallStart, Stop, Usage, collect
from kirogw.convert import FACES
from kirogw.dialects.dialect import Ask
from kirogw.errors import BrokenAnswer, Overloaded, QuotaUsed
from tests.dialects.answers import ANSWERS, HEADING

GOLDEN = Path(__file__).parent / "golden"
UPDATE = os.environ.get("UPDATE_GOLDEN") == "1"
HELLO = {"model": "claude-sonnet-4-6", "messages": [{"role": "user", "content": "Hi"}]}
PATCH = [
    CallStart(0, "call_1", "apply_patch"), CallDelta(0, '{"inp'), CallDelta(0, 'ut": "*** Begin'),
    CallDelta(0, ' Patch\\nx \\ud83e\\udd80"}'), CallStart(1, "call_2", "read"), CallDelta(1, "{}"), Stop("calls"),
    Usage(1, 2),
]  # fmt: skip
READ = [CallStart(0, "call_1", "read"), CallDelta(0, '{"path":'), CallDelta(0, '"a"}'), Stop("calls"), Usage(1, 2)]
CUSTOM = {"tools": [{"type": "custom", "custom": {"name": "apply_patch"}},
                    {"type": "function", "function": {"name": "read"}}]}  # fmt: skip
CASES = [(face, name, {}, events) for face in FACES for name, events in ANSWERS.items()] + [
    ("chat", "usage_asked_for", {"stream_options": {"include_usage": True}}, ANSWERS["text"]),
    ("chat", "custom_tool", CUSTOM, PATCH),
    ("chat", "legacy_function", {"functions": [{"name": "read"}]}, READ),
]


def ask(face, more):
    return FACES[face].read({**HELLO, **more}, {})


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
    for mark in (b"message_stop", b"message_delta", b"[DONE]", b'"finish_reason":"'):
        assert mark not in data


def test_no_golden_file_is_left_over():
    known = {f"{face}/{name}" for face, name, _, _ in CASES}
    known |= {f"{face}/failed_{word}" for face in FACES for word in ("broken", "overloaded", "quota")}
    assert {f"{path.parent.name}/{path.stem}" for path in GOLDEN.rglob("*.*")} == known

"""The upstream fails in the middle of a loop: the client finishes it all the same, or it ends with our words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients import loops
from tests.clients.programs import CLAUDE, OPENCODE_CHAT, OPENCODE_MESSAGES, Program, run

pytestmark = pytest.mark.clients

CLIENTS = pytest.mark.parametrize("client", [CLAUDE, OPENCODE_MESSAGES, OPENCODE_CHAT], ids=lambda client: client.name)
SECOND = loops.NOTE.splitlines()[0]  # in every request from the second one of the loop on

# Frames of the second answer: 0 opens it, 1 to 5 are words, 6 opens the call, 7 to 10 are its arguments, 11 ends it.
MENDED = {
    "429 with a hint, twice": {"name": "retry_after", "headers": {"retry-after": "1"}, "count": 2},
    "429 without a hint": {"name": "throttled"},
    "503, three times": {"name": "unavailable", "count": 3},
    "nothing at all": {"name": "empty"},
    "cut before the first word": {"cut_frame": 1},
    "cut in the text": {"cut_frame": 4},
    "a false clean end in the text": {"cut_frame": 4, "end": "clean"},
    "a bit wrong in the text": {"corrupt": "payload", "frame": 4},
    "an exception in the text": {"exception": {"type": "ThrottlingException", "message": "Busy."}, "frame": 4},
    "cut in a call": {"cut_frame": 9},
    "an expired token": {"name": "token_expired"},
}


# what the gateway mends before its first byte is the same to each API of a client
UNSEEN = ("429 with a hint, twice", "429 without a hint", "503, three times", "nothing at all", "an expired token")


PAIRS = [pytest.param(client, fault, id=f"{name}-{client.name}") for name, fault in MENDED.items()
         for client in (CLAUDE, OPENCODE_MESSAGES, OPENCODE_CHAT) if client is not OPENCODE_CHAT or name not in UNSEEN]  # fmt: skip


@pytest.mark.parametrize(("client", "fault"), PAIRS)
def test_the_loop_is_finished(fault: dict[str, Any], client: Program, gate, twin, place):
    twin.script(loops.agent(client.hands, place))
    played = twin.faults.add(**{"match": SECOND, **fault})
    ran = run(client, gate, place, loops.PROMPT)
    assert played.played == fault.get("count", 1)
    loops.assert_done(place, ran.said)
    assert ran.code == 0


@CLIENTS
@pytest.mark.parametrize("tail", [{"stop": "TOOL_USE"}, {"stop": "MAX_TOKENS"}, {"end": False}], ids=str)
def test_a_stump_of_a_call_is_mended_by_the_client(tail: dict[str, Any], client: Program, gate, twin, place):
    """It hears that its arguments broke off, tells the model so, and the model calls again."""
    call = {"tool": client.hands.write("", "")[0], "input": '{"content": "half of wh', "finished": False}
    stump = {"match": SECOND, "repeat": False, "steps": [call, tail]}
    twin.script([stump, *loops.agent(client.hands, place)])
    ran = run(client, gate, place, loops.PROMPT)
    loops.assert_done(place, ran.said)
    assert ran.code == 0


ENDED = {
    # what the upstream says to every request, and a word of what the user reads then
    "suspended": "suspended",
    "quota": "used up",
    "INVALID_MODEL_ID": "model",
}


@CLIENTS
@pytest.mark.parametrize(("fault", "word"), ENDED.items(), ids=ENDED)
def test_the_user_reads_our_words(fault: str, word: str, client: Program, gate, twin, place):
    twin.script(loops.agent(client.hands, place))
    twin.faults.add(fault, count=None)
    ran = run(client, gate, place, loops.PROMPT)
    assert word in ran.said.lower()
    assert gate.asked() <= 3, "a title beside it, and no more"
    assert not (place.work / "answer.txt").exists()


def test_claude_code_reads_an_overflow(gate, twin, place):
    """In its own words, with its own advice."""
    twin.script(loops.agent(CLAUDE.hands, place))
    twin.faults.add("CONTENT_LENGTH_EXCEEDS_THRESHOLD", count=None)
    ran = run(CLAUDE, gate, place, loops.PROMPT)
    assert "prompt is too long" in ran.said.lower()


@pytest.mark.parametrize("client", [OPENCODE_MESSAGES, OPENCODE_CHAT], ids=lambda client: client.name)
def test_opencode_compacts_on_an_overflow(client: Program, gate, twin, place):
    """It asks for a summary and begins the work again with that."""
    twin.script(loops.agent(client.hands, place))
    overflow = twin.faults.add("CONTENT_LENGTH_EXCEEDS_THRESHOLD", match=SECOND)
    ran = run(client, gate, place, loops.PROMPT)
    assert overflow.played == 1
    loops.assert_done(place, ran.said)

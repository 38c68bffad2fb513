"""What Codex CLI alone does: pictures, tools that it finds, sub-agents, its WebSocket, its list of models, its limits,
what it makes of a failure, and a conversation that goes on elsewhere.
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kirogw.manual import welcome
from kirogw.twin import Twin
from kirogw.twin.codex import CodexTwin
from tests.clients import codex, loops
from tests.clients.codex import BUILT_IN_PROVIDER, FREEFORM, LITE, UNKNOWN
from tests.clients.conftest import FILES, gateway
from tests.clients.programs import Gate, Place, Ran, execute, run

pytestmark = pytest.mark.clients

ACCOUNTS = pytest.mark.parametrize("account", ["kiro", "codex"])
LINE = "echo done >> log.txt"


def png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0)
    rows = b"".join(b"\0" + b"\xee\x10\x10" * 16 for _ in range(16))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def call(tool: str, **given: Any) -> dict[str, Any]:
    return {"tool": tool, "input": given, "pieces": 9}


def ends(text: str, after: int = 1) -> dict[str, Any]:
    return {"round": after, "steps": [{"text": text}]}


def bodies(twin: Any) -> str:
    """All that the upstream got, as it came."""
    return "\n".join(seen.body.decode() for seen in twin.seen())


@ACCOUNTS
def test_it_looks_at_a_picture(account, gate, twin, place):
    (place.work / "red.png").write_bytes(png())
    twin.script([[call("view_image", path=str(place.work / "red.png"))], ends("It is red.")])
    ran = run(UNKNOWN, gate, place, "Which colour?")
    assert (ran.code, ran.said) == (0, "It is red.")
    assert base64.b64encode(png()).decode() in twin.seen()[-1].body.decode()


@ACCOUNTS
def test_a_picture_comes_with_the_prompt(account, gate, twin, place):
    (place.work / "red.png").write_bytes(png())
    twin.script([[{"text": "It is red."}]])
    codex.configure(place, codex.filled_in(codex.CONFIG, gate, UNKNOWN.model))
    ran = execute("codex", codex.exec_(gate, place, "-i", "red.png", "--", "Which colour?"), place, codex.said)
    assert (ran.code, ran.said) == (0, "It is red.")
    assert base64.b64encode(png()).decode() in twin.seen()[-1].body.decode()


@ACCOUNTS
def test_the_answer_fits_a_schema(account, gate, twin, place):
    schema = {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"],
              "additionalProperties": False}  # fmt: skip
    (place.work / "schema.json").write_text(json.dumps(schema))
    twin.script([[{"text": '{"word": "héron"}'}]])
    codex.configure(place, codex.filled_in(codex.CONFIG, gate, UNKNOWN.model))
    start = codex.exec_(gate, place, "--output-schema", "schema.json", "Which word?")
    ran = execute("codex", start, place, codex.said)
    assert (ran.code, json.loads(ran.said)) == (0, {"word": "héron"})


@ACCOUNTS
def test_a_sub_agent_works_by_itself(account, gate, twin, place):
    """A tool in a namespace, and two conversations at once."""
    twin.script([
        {"match": "Write it, helper.", "round": 0, "steps": [call("exec_command", cmd=LINE)]},
        {"match": "Write it, helper.", "round": 1, "steps": [{"text": "The helper is done."}]},
        {"round": 0, "steps": [call("multi_agent_v1__spawn_agent", message="Write it, helper.")]},
        {"round": 1, "steps": [{"tool": "multi_agent_v1__wait_agent", "input": {"timeout_ms": 20000, "targets": [
            {"in": "results", "find": r'"agent_id\W+([0-9a-f-]{36})', "else": "nobody"}]}}]},
        ends("All is done.", 2),
    ])  # fmt: skip
    ran = run(UNKNOWN, gate, place, "Have it written.")
    assert (ran.code, ran.said) == (0, "All is done.")
    assert (place.work / "log.txt").read_text() == "done\n"
    assert "The helper is done." in bodies(twin).replace("\\", "")


@ACCOUNTS
def test_it_finds_a_tool_and_calls_it(account, gate, twin, place):
    """By tool_search, which it runs itself; what it finds is declared nowhere but in the search's result."""
    twin.script([
        {"round": 0, "steps": [call("tool_search", query="sub-agents")]},
        {"round": 1, "steps": [call("multi_agent_v1__spawn_agent", message="Say that you live.")]},
        ends("It lives.", 2),
    ])  # fmt: skip
    ran = run(FREEFORM, gate, place, "Find a helper.")
    assert (ran.code, ran.said) == (0, "It lives.")
    assert "agent_id" in bodies(twin)


@ACCOUNTS
def test_its_own_provider_falls_back_from_the_websocket_at_once(account, gate, twin, place):
    twin.script(loops.agent(BUILT_IN_PROVIDER.hands, place))
    ran = run(BUILT_IN_PROVIDER, gate, place, loops.PROMPT)
    loops.assert_done(place, ran.said)
    assert ran.output.count("failed to connect to Responses WebSocket") == 1
    assert "Reconnecting" not in ran.output


@ACCOUNTS
def test_its_list_of_models_is_written(account, gate, twin, place):
    """With it no model is unknown, and Claude too gets patches as free text."""
    file = place.home / "models.json"
    told = gate.command("codex-models", "--write", str(file), "--url", f"{gate.url}/v1", "--model", listed(account))
    codex.configure(place, told)
    twin.script(loops.agent(FREEFORM.hands, place))
    ran = execute("codex", codex.exec_(gate, place, "--cd", str(place.work), loops.PROMPT), place, codex.said)
    loops.assert_done(place, ran.said)
    assert "Model metadata" not in ran.output


def test_what_the_first_start_says_is_enough(gate, twin, place):
    told = welcome(gate.url, gate.key, UNKNOWN.model).partition("\nCodex (")[2].partition("\n\n")[0]
    codex.configure(place, "\n".join(line.strip() for line in told.splitlines()[1:]))
    twin.script([[{"text": "It works."}]])
    ran = execute("codex", codex.exec_(gate, place, "Does it?"), place, codex.said)
    assert (ran.code, ran.said) == (0, "It works.")


def listed(account: str) -> str:
    return {"kiro": "claude-sonnet-4.6", "codex": "gpt-5.5"}[account]


@ACCOUNTS
@pytest.mark.parametrize("path", ["/backend-api", ""])
def test_its_status_shows_what_is_left(path, account, gate, twin, place):
    told = codex.limits(gate, place, gate.url + path)["rateLimits"]
    windows = {window["windowDurationMins"]: window["usedPercent"] for window in (told["primary"], told["secondary"]) if window}
    if account == "codex":
        assert windows == {300: twin.account.primary["used"], 10080: twin.account.secondary["used"]}
    else:
        assert list(windows.values()) == [round(100 * twin.account.used / twin.account.limit)]


# Failures

# where the answer breaks off, by the twin's frames; the call is whole in the last
CUTS = {
    "kiro": {"in the text": 2, "in the call": 5, "after the call": 8},
    "codex": {"in the text": "response.output_text.done", "in the call": "response.function_call_arguments.done",
              "after the call": "response.completed"},
}  # fmt: skip


@ACCOUNTS
@pytest.mark.parametrize(("place_of_cut", "end"), [
    ("in the text", "open"), ("in the call", "open"), ("in the call", "clean"), ("after the call", "open"),
])  # fmt: skip
def test_nothing_is_done_twice(place_of_cut, end, account, gate, twin, place):
    """It runs a call as soon as that is whole, and asks again when the answer breaks off before its end."""
    twin.script([{"round": 0, "steps": [{"text": "I write."}, call("exec_command", cmd=LINE)]}, ends("Done.")])
    cut = twin.faults.add(cut_frame=CUTS[account][place_of_cut], end=end)
    ran = run(UNKNOWN, gate, place, "Write it.")
    assert (ran.code, ran.said, cut.played) == (0, "Done.", 1)
    assert (place.work / "log.txt").read_text() == "done\n"


BUSY = {
    # the upstream's answer, how often: more often than the gateway itself asks
    "kiro": {"name": "retry_after", "headers": {"retry-after": "1"}, "count": 4},
    "codex": {"name": "retry_after", "headers": {"retry-after": "1"}, "count": 4},
}


@ACCOUNTS
def test_it_waits_as_long_as_it_is_told(account, gate, twin, place):
    twin.script([{"round": 0, "steps": [call("exec_command", cmd=LINE)]}, ends("Done.")])
    busy = twin.faults.add(**BUSY[account])
    ran = run(UNKNOWN, gate, place, "Write it.")
    assert (ran.code, ran.said, busy.played) == (0, "Done.", 4)
    assert "429 Too Many Requests" in ran.output
    assert (place.work / "log.txt").read_text() == "done\n"


ENDED = {
    # what the upstream says to every request, and a word of what the user reads then
    "kiro": {"suspended": "locked", "quota": "usage limit", "CONTENT_LENGTH_EXCEEDS_THRESHOLD": "context window"},
    "codex": {"account_deactivated": "deactivated", "usage_limit_reached": "usage limit",
              "context_length_exceeded": "context window"},
}  # fmt: skip


@pytest.mark.parametrize(("account", "fault", "word"), [(a, *row) for a, rows in ENDED.items() for row in rows.items()])
def test_the_user_reads_why(account, fault, word, gate, twin, place):
    twin.faults.add(fault, count=None)
    ran = run(UNKNOWN, gate, place, "Write it.")
    assert ran.code != 0
    assert word in ran.output.lower()
    assert gate.asked() <= 1, "its turn ends at once"


# Elsewhere


@pytest.fixture
def both(tmp_path: Path):
    """(a gateway with an account of each provider, the two upstreams)"""
    with Twin(accounts=["social"]) as kiro, CodexTwin(accounts=["codex"]) as openai:
        with gateway(openai, "codex", tmp_path, **FILES["kiro"](kiro, tmp_path), MODEL_ALIASES=None) as gate:
            yield gate, kiro, openai
        assert (kiro.refusals, openai.refusals) == ([], [])


def test_a_conversation_goes_on_with_another_provider(both, place: Place):
    """There and back, with calls, thinking and a picture behind it; each provider gets all that was said."""
    gate, kiro, openai = both
    (place.work / "red.png").write_bytes(png())
    kiro.script([
        [{"thinking": "I look."}, {"text": "I look at it."}, call("view_image", path=str(place.work / "red.png"))],
        {"round": 1, "steps": [{"text": "It is red, says Claude."}]},
        {"match": "And who are you", "steps": [{"text": "I am Claude again."}]},
    ])  # fmt: skip
    openai.script([
        {"round": 0, "steps": [{"thinking": "I write."}, call("exec_command", cmd=LINE)]},
        ends("It is written, says GPT."),
    ])  # fmt: skip
    said = [_resumed(gate, place, "claude-sonnet-4.6", "Which colour?", first=True).said,
            _resumed(gate, place, "gpt-5.5", "Now write it.").said,
            _resumed(gate, place, "claude-sonnet-4.6", "And who are you?").said]  # fmt: skip
    assert said == ["It is red, says Claude.", "It is written, says GPT.", "I am Claude again."]
    assert (place.work / "log.txt").read_text() == "done\n"
    heard = bodies(openai)
    for told in ("Which colour?", "It is red, says Claude.", "view_image", base64.b64encode(png()).decode()):
        assert told in heard
    last = kiro.seen()[-1].body.decode()
    for told in ("Which colour?", "It is written, says GPT.", "exec_command", base64.b64encode(png()).decode()):
        assert told in last


def _resumed(gate: Gate, place: Place, model: str, prompt: str, first: bool = False) -> Ran:
    codex.configure(place, codex.filled_in(codex.CONFIG, gate, model))
    words = [prompt] if first else ["resume", "--last", prompt]
    ran = execute("codex", codex.exec_(gate, place, *words), place, codex.said)
    assert ran.code == 0, ran.output
    return ran


@ACCOUNTS
def test_its_newest_way_with_tools_survives_a_cut(account, gate, twin, place):
    """JavaScript in a tool of free text, in a namespace, declared in the input."""
    twin.script(loops.agent(LITE.hands, place))
    cut = twin.faults.add(cut_frame=4 if account == "kiro" else "response.output_text.done", match=loops.NOTE.splitlines()[0])
    ran = run(replace(LITE, name="codex"), gate, place, loops.PROMPT)
    assert (ran.code, cut.played) == (0, 1)
    loops.assert_done(place, ran.said)

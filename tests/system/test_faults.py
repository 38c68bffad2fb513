"""The fault table is played once, compared with docs/faults.md, and held to laws that every cell keeps."""

import re

import pytest

from kirogw.dialects.kiro.faults import LOST, STRANGE, TABLE
from kirogw.twin import Twin
from kirogw.twin.faults import NAMED
from tests.dialects.opencode import asks_again
from tests.system import cases
from tests.system.faults import COLUMNS, cell, markdown, table
from tests.system.running import TOP, running
from tests.system.stand import USUAL, Verdicts, ask, standing

pytestmark = pytest.mark.timeout(600)  # the first test plays the whole table
ROWS = (*TABLE, STRANGE, *LOST.values())


@pytest.fixture(scope="module")
def played():
    return table()


@pytest.fixture(scope="module")
def cells(played):
    """(section, case, once or always, streamed, what was heard) of each cell."""
    return [(title, case, when, stream, seen) for title, rows in played.items() for case, whens in rows
            for when, row in whens.items() for (_, stream), seen in row.items()]  # fmt: skip


def test_the_page_is_what_is_printed(played):
    assert (TOP / "docs" / "faults.md").read_text() == markdown(played), "write it anew: python -m tests.system.faults > docs/faults.md"


# laws


def test_nothing_hangs(cells):
    assert max(seen.seconds for *_, seen in cells) < 20


def test_an_answer_is_whole_or_says_that_it_is_not(cells):
    whole = {"nothing but a stop reason": ""}
    for _, case, _, _, seen in cells:
        if seen.failed:
            assert not seen.stop, case.name
        elif seen.clean:
            assert seen.text == whole.get(case.name, cases.TEXT), case.name
            assert not case.tools or seen.arguments.replace(" ", "") == cases.WHOLE.replace(" ", ""), case.name
        else:
            assert seen.stop in {"max_tokens", "length", "model_context_window_exceeded", "refusal", "content_filter",
                                 "pause_turn", "stop_sequence"}, case.name  # fmt: skip


def test_half_a_call_goes_out_as_it_is(cells):
    stumps = [seen for _, case, _, _, seen in cells if case.name.startswith("half a call, then")]
    assert len(stumps) == 4 * len(COLUMNS)
    assert {(seen.text, seen.arguments) for seen in stumps} == {(cases.TEXT, cases.STUMP)}


def test_only_a_stream_that_had_begun_fails_within(cells):
    for _, case, _, stream, seen in cells:
        if seen.in_band:
            assert stream and (seen.text or seen.arguments or seen.beats), case.name


def test_signs_of_life_are_heard_in_silence_and_only_there(cells):
    for title, case, _, stream, seen in cells:
        assert bool(seen.beats) == (stream and title == "Silence"), case.name


def test_every_429_says_when_and_402_is_never_heard(cells):
    for _, case, _, _, seen in cells:
        assert seen.status != 402
        assert seen.status != 429 or seen.wait >= 1, case.name
        assert seen.status in {200, 400, 403, 404, 429, 502, 503, 504, 529}, case.name


TWO = re.compile(
    r"(prompt is too long: |Your input exceeds the context window of this model: )?"
    r"([A-Z][^\"]+( \(Kiro says: \"[^\"]+\"\))?\. [A-Z][^.]+(\.\w[^.]+)*\.|[a-z].+; [a-z].+)"
)
FIGURES = re.compile(r"prompt is too long: \d+ tokens > \d+ maximum|This model's maximum context length is \d+ tokens\. .+")


def test_an_error_says_what_happened_and_what_to_do(cells):
    for _, case, _, _, seen in cells:
        if seen.failed:
            assert TWO.fullmatch(seen.words) or FIGURES.fullmatch(seen.words), (case.name, seen.words)
            assert "\n" not in seen.words and len(seen.words) < 400, case.name


FINAL = {"invalid_request_error", "permission_error", "not_found_error", "insufficient_quota", "usage_limit_reached"}


def test_opencode_asks_again_for_what_passes_and_for_nothing_else(cells):
    for _, case, _, _, seen in cells:
        if seen.failed:
            final = seen.type in FINAL or seen.headers.get("x-should-retry") == "false"
            assert asks_again(seen.words, seen.in_band) != final, (case.name, seen.words)


# statuses, as the decision table has them (kiro 5.6)


REFUSED, DENIED = ((400, "invalid_request_error"), (400, "")), ((403, "permission_error"), (403, "account_refused"))
FAILED, LATE = ((502, "api_error"), (502, "upstream_failed")), ((504, "timeout_error"), (504, "upstream_timeout"))
BROKEN = ((502, "api_error"), (502, "broken_answer"))
SHORT, BUSY = ((529, "overloaded_error"), (503, "slow_down")), ((429, "rate_limit_error"), (429, "rate_limit_exceeded"))
HEARD = {
    # row: what Messages and Chat hear, how often one account is asked
    "overflow": (((400, "invalid_request_error"), (400, "context_length_exceeded")), 1),
    "signature": (REFUSED, 2), "fields": (REFUSED, 2), "tool use format": (REFUSED, 2), "profile": (DENIED, 1),
    "quota": (((429, "rate_limit_error"), (429, "insufficient_quota")), 1), "capacity": (SHORT, 3), "unavailable": (SHORT, 3),
    "rate": (BUSY, 2), "credit rate": (BUSY, 1), "suspended": (DENIED, 1),
    "token": (((403, "permission_error"), (403, "login_required")), 2),
    "not activated": (DENIED, 1), "plan": (DENIED, 1), "not authorized": (DENIED, 1), "forbidden": (DENIED, 1), "edge": (DENIED, 1),
    "model": (((404, "not_found_error"), (404, "model_not_found")), 1),
    "image": (REFUSED, 1), "document": (REFUSED, 1), "tools": (REFUSED, 1), "encryption": (REFUSED, 1), "malformed": (REFUSED, 1),
    "invalid": (REFUSED, 1), "wrong host": (FAILED, 1), "gateway": (FAILED, 4), "server": (FAILED, 4), "strange": (FAILED, 1),
    "connect": (FAILED, 4), "proxy": (FAILED, 3), "reset": (FAILED, 4), "timeout": (LATE, 1), "first_token": (LATE, 2), "idle": (LATE, 2),
    "damaged": (BROKEN, 3), "cut": (BROKEN, 3), "empty": (SHORT, 3),
}  # fmt: skip


def test_each_row_is_met_and_heard_as_it_should_be(cells):
    met = set()
    for title, case, _, _, seen in cells:
        if title in ("Clients", "The next question", "Sign-in") or not seen.rules:
            continue
        row = seen.rules[-1]
        met.add(row)
        if seen.failed and not seen.in_band:
            heard, tries = HEARD[row]
            assert (seen.status, seen.code or seen.type if seen.face == "messages" else seen.code) == heard[seen.face == "chat"], case.name
            assert seen.tries - seen.rules.count("stale") == tries, case.name
        elif seen.failed:
            assert (seen.code or seen.type) == (HEARD[row][0][seen.face == "chat"][1] or seen.type), case.name
            assert seen.beats or seen.tries == 1, case.name
    assert {row.name for row in ROWS} <= met
    assert set(HEARD) == {row.name for row in ROWS}


def test_what_may_be_asked_again_is_not_heard_of_once(cells):
    """Unless words of it have been heard already."""
    for title, case, when, stream, seen in cells:
        if title not in ("Kiro refuses", "The answer breaks", "Silence", "The way there") or when != "once" or not seen.rules:
            continue
        if "stale" in seen.rules or HEARD[seen.rules[0]][1] > 1:
            assert (seen.clean, seen.tries) == (True, 2) or (stream and seen.in_band and seen.text and seen.tries == 1), case.name
        else:
            assert (seen.failed, seen.tries) == (True, 1), case.name


def test_another_host_or_account_takes_over_and_nobody_notices(cells):
    taken = [(title, case, seen) for title, case, _, _, seen in cells if title in ("Two hosts", "Two accounts")]
    assert all(seen.clean for *_, seen in taken), [case.name for _, case, seen in taken if not seen.clean]
    met = {title: {seen.rules[-1] for at, _, seen in taken if at == title} for title in ("Two hosts", "Two accounts")}
    assert met["Two hosts"] == {row.name for row in ROWS if row.host}
    reached_by_none = {"connect"}  # neither account gets through where nobody listens
    assert met["Two accounts"] == {row.name for row in ROWS if row.elsewhere} - reached_by_none | {"needs-login", "refresh-failed"}


def test_an_account_is_left_alone_for_as_long_as_kiro_asked_and_otherwise_asked(cells):
    left_alone = ("402 MONTHLY_REQUEST_COUNT", "403 TEMPORARILY_SUSPENDED", "429 CREDIT_CONSUMPTION_RATE_EXCEEDED",
                  "429 USER_REQUEST_RATE_EXCEEDED with Retry-After: 7")  # fmt: skip
    for title, case, _, _, seen in cells:
        if title == "The next question" and not case.name.startswith("sign-in"):
            assert (seen.tries, seen.clean) == ((0, False) if case.name in left_alone else (1, True)), case.name


@pytest.mark.parametrize(("fault", "ids"), [("tool_format", 2), ("fields_not_supported", 2), ("high_load", 1), ("hangup", 1)])
def test_what_was_refused_is_asked_as_another_invocation(fault, ids):
    verdicts = Verdicts()
    with verdicts.listening(), standing(verdicts, ["api_key"], {}, cases.by_key, cases.nothing) as stand:
        stand.twin.faults.add(fault, count=1)
        assert stand.ask("messages", False).tries == 2
        assert len({seen.headers["amz-sdk-invocation-id"] for seen in stand.twin.seen()}) == ids
        assert [seen.headers["amz-sdk-request"].partition(";")[0] for seen in stand.twin.seen()] == ["attempt=1", "attempt=2"]


def test_every_fault_of_the_twin_is_in_the_table():
    names = {fault.get("name") for make in cases.SECTIONS.values() for case in make() for fault in case.faults}
    elsewhere = {"slow_headers", "stall", "cut_open", "cut_clean", "cut_reset", "ends_early", "bad_prelude", "bad_length", "bad_header",
                 "bad_payload", "bad_message", "exception_frame", "length_frame", "error_frame"}  # by their members  # fmt: skip
    assert set(NAMED) <= names | elsewhere


# clients


QUOTA = ("the plan is used up", "the plan is used up, Kiro names a time")
DIALECTS = {
    # (what happens, client): status, Retry-After, x-should-retry; all of Messages and Chat
    **{(QUOTA[0], client): (429, 3600, "false") for client in ("Claude Code", "others")},
    **{(QUOTA[1], client): (429, 86400, "false") for client in ("Claude Code", "others")},
    **{(name, "Codex"): (429, 30, "false") for name in QUOTA},
    **{(name, "OpenCode"): (403, None, "false") for name in QUOTA},
    **{("too many requests", client): (429, 8, None) for client in cases.AGENTS},
    **{("too many requests, with a hint", client): (429, 7, None) for client in cases.AGENTS},
    **{("credits are spent too fast", client): (429, 300, None) for client in ("Claude Code", "others")},
    **{("credits are spent too fast", client): (429, 30, None) for client in ("Codex", "OpenCode")},
    **{(name, client): (400, None, None) for name in ("too long", "too long, with figures") for client in cases.AGENTS},
    **{(name, client): (403, None, None) for name in ("the account is locked", "the account needs a login") for client in cases.AGENTS},
}  # fmt: skip


def test_each_client_hears_its_dialect(cells):
    for title, case, _, _, seen in cells:
        happened, _, client = case.name.partition(" | ")
        if title != "Clients" or happened == "no capacity":
            continue
        assert (seen.status, seen.wait, seen.headers.get("x-should-retry")) == DIALECTS[happened, client], case.name
        if seen.face == "chat" and client == "Codex" and happened in QUOTA:
            assert seen.type == "usage_limit_reached"
            assert seen.error.get("resets_in_seconds") == (86400 if happened == QUOTA[1] else None)
        if happened == "too long, with figures":
            said = ("prompt is too long: 210000 tokens > 200000 maximum", "This model's maximum context length is 200000 tokens")
            assert seen.words.startswith(said[seen.face == "chat"])
            assert seen.face == "messages" or seen.code == "context_length_exceeded"
        if happened == "too long" and seen.face == "messages":
            assert seen.words.startswith("prompt is too long: ")


def test_a_stream_that_has_not_begun_fails_as_a_whole_answer_does(played):
    for _, whens in played["Clients"]:
        for face in ("messages", "chat"):
            streamed, whole = (whens["always"][face, stream] for stream in (True, False))
            assert (streamed.status, streamed.error, streamed.wait) == (whole.status, whole.error, whole.wait)


# the same from the worker that people run


AGAIN = (
    "400 CONTENT_LENGTH_EXCEEDS_THRESHOLD", "500 MODEL_TEMPORARILY_UNAVAILABLE", "400 IMAGE_SIZE_EXCEEDED",
    "a wrong bit (payload), before the first word", "the connection is closed, in mid-answer",
    "an exception: ThrottlingException, before the first word", "an exception: ContentLengthExceededException, in mid-answer",
    "half a call, then MAX_TOKENS", "half a call, and the connection is closed",
)  # fmt: skip


def test_gunicorn_says_the_same(played):
    whens = {case.name: (case, row) for rows in played.values() for case, row in rows}
    with Twin(accounts=["api_key"]) as twin, running(twin, **USUAL) as gateway:
        for name in AGAIN:
            case, row = whens[name]
            when = next(iter(row))
            for (face, stream), seen in row[when].items():
                twin.reset()
                twin.script(case.script)
                for fault in case.faults:
                    twin.faults.add(**{"count": 1, **fault})
                again = ask(gateway.url, face, stream, case.agent, case.tools)
                assert cell(again, case).split(",")[0] == cell(seen, case).split(",")[0], (name, face, stream)
                assert len(twin.seen()) == seen.tries, (name, face, stream)
        assert twin.refusals == []

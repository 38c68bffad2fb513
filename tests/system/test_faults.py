"""The fault table is played once, compared with docs/faults.md, and held to laws that every cell keeps."""

import re

import pytest

from kirogw.twin import Twin
from kirogw.twin.codex import mishaps as codex_mishaps
from kirogw.twin.kiro import mishaps
from tests.dialects.opencode import asks_again
from tests.system import cases, cases_chatgpt
from tests.system.faults import CLIENTS, ROWS, SIDES, SILENCE, TABLES, cell, differing, markdown, table
from tests.system.pauses import ENDLESS, Pauses
from tests.system.running import TOP, running
from tests.system.stand import USUAL, Verdicts, asked, standing

pytestmark = pytest.mark.timeout(1800)  # the first test plays the whole table
NEXT = ("The next question", "The next question to ChatGPT")
ASKED = ("Kiro refuses", "The answer breaks", "The way there", "ChatGPT refuses", "ChatGPT's answer breaks", "The way to ChatGPT", *SILENCE)


@pytest.fixture(scope="module")
def played():
    return table()


@pytest.fixture(scope="module")
def cells(played):
    """(section, case, once or always, streamed, what was heard) of each cell."""
    return [(title, case, when, stream, seen) for title, rows in played.items() for case, whens in rows
            for when, row in whens.items() for (_, stream), seen in row.items()]  # fmt: skip


def test_the_page_is_what_is_printed(played):
    page = (TOP / "docs" / "faults.md").read_text()
    assert not (lines := differing(page, markdown(played))), f"write it anew: make faults > docs/faults.md\n{lines}"


# laws


def test_nothing_hangs(cells):
    assert max(seen.seconds for *_, seen in cells) < ENDLESS


def test_an_answer_is_whole_or_says_that_it_is_not(cells):
    whole = {"nothing but a stop reason": "", "nothing but thinking": ""}
    for _, case, _, _, seen in cells:
        if seen.failed:
            assert not seen.stop, case.name
        elif seen.clean:
            assert seen.text == whole.get(case.name, cases.TEXT), case.name
            assert not case.tools or seen.arguments.replace(" ", "") == cases.WHOLE.replace(" ", ""), case.name
        else:
            assert seen.stop in {"max_tokens", "length", "model_context_window_exceeded", "refusal", "content_filter",
                                 "pause_turn", "stop_sequence", "max_output_tokens"}, case.name  # fmt: skip


def test_half_a_call_goes_out_as_it_is(cells):
    stumps = [seen for _, case, _, _, seen in cells if case.name.startswith("half a call, then")]
    assert len(stumps) == 4 * len(cases.COLUMNS)
    assert {(seen.text, seen.arguments) for seen in stumps} == {(cases.TEXT, cases.STUMP)}


def test_only_a_stream_that_had_begun_fails_within(cells):
    for _, case, _, stream, seen in cells:
        if seen.in_band:
            assert stream and (seen.text or seen.arguments or seen.beats), case.name


def test_signs_of_life_are_heard_in_silence_and_only_there(cells):
    for title, case, _, stream, seen in cells:
        assert bool(seen.beats) == (stream and title in SILENCE), case.name


def test_every_429_says_when_and_402_is_never_heard(cells):
    for _, case, _, _, seen in cells:
        assert seen.status != 402
        assert seen.status != 429 or seen.wait >= 1, case.name
        assert seen.status in {200, 400, 403, 404, 429, 502, 503, 504, 529}, case.name


TWO = re.compile(
    r"(prompt is too long: |Your input exceeds the context window of this model: )?"
    r"([A-Z][^\"]+( \((Kiro|ChatGPT) says: \"[^\"]+\"\))?\. [A-Z][^.]+(\.\w[^.]+)*\.|[a-z].+; [a-z].+)"
    r"( Please try again in \d+s\.)?"  # for Codex, which reads the time from the words
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
            if seen.in_band:  # headers have gone by then, and Responses has no type there
                final = not next(row for row in TABLES[case.side] if row.name == seen.rules[-1]).error.passes
            assert asks_again(seen.words, seen.in_band) != final, (case.name, seen.words)


# statuses, as the decision table has them (kiro 5.6)


# of each row what is heard, as (Messages, the others); inside a stream of Responses another code may stand
REFUSED, DENIED = ((400, "invalid_request_error"), (400, "")), ((403, "permission_error"), (403, "account_refused"))
FAILED, LATE = ((502, "api_error"), (502, "upstream_failed")), ((504, "timeout_error"), (504, "upstream_timeout"))
BROKEN = ((502, "api_error"), (502, "broken_answer"))
SHORT, BUSY = ((529, "overloaded_error"), (503, "slow_down")), ((429, "rate_limit_error"), (429, "rate_limit_exceeded"))
LONG = ((400, "invalid_request_error"), (400, "context_length_exceeded"))
USED_UP = ((429, "rate_limit_error"), (429, "insufficient_quota"))
SIGN_IN, UNKNOWN = ((403, "permission_error"), (403, "login_required")), ((404, "not_found_error"), (404, "model_not_found"))
LOST = {
    "connect": (FAILED, 4), "proxy": (FAILED, 3), "reset": (FAILED, 4), "timeout": (LATE, 1), "first_token": (LATE, 2), "idle": (LATE, 2),
    "damaged": (BROKEN, 3), "cut": (BROKEN, 3), "empty": (SHORT, 3),
}  # fmt: skip
HEARD = {
    # row: what is heard, how often one account is asked
    "Kiro": {
        "overflow": (LONG, 1),
        "signature": (REFUSED, 2), "fields": (REFUSED, 2), "tool use format": (REFUSED, 2), "profile": (DENIED, 1),
        "quota": (USED_UP, 1), "capacity": (SHORT, 3), "unavailable": (SHORT, 3),
        "rate": (BUSY, 2), "credit rate": (BUSY, 1), "suspended": (DENIED, 1), "token": (SIGN_IN, 2),
        "not activated": (DENIED, 1), "plan": (DENIED, 1), "not authorized": (DENIED, 1), "forbidden": (DENIED, 1), "edge": (DENIED, 1),
        "model": (UNKNOWN, 1),
        "image": (REFUSED, 1), "document": (REFUSED, 1), "tools": (REFUSED, 1), "encryption": (REFUSED, 1), "malformed": (REFUSED, 1),
        "invalid": (REFUSED, 1), "wrong host": (FAILED, 1), "gateway": (FAILED, 4), "server": (FAILED, 4), "strange": (FAILED, 1), **LOST,
    },
    "ChatGPT": {
        "overflow": (LONG, 1), "sealed": (REFUSED, 2), "form": (REFUSED, 2), "suspended": (DENIED, 1), "quota": (USED_UP, 1), "plan": (DENIED, 1),
        "consent": (SIGN_IN, 1), "token": (SIGN_IN, 2), "capacity": (SHORT, 2), "overloaded": (SHORT, 3), "unavailable": (SHORT, 3),
        "rate": (BUSY, 2), "model": (UNKNOWN, 1), "version": (UNKNOWN, 1), "unknown model": (UNKNOWN, 1), "route": (REFUSED, 1),
        "image": (REFUSED, 1), "content": (REFUSED, 1), "parameter": (REFUSED, 1), "edge": (DENIED, 1), "forbidden": (DENIED, 1),
        "invalid": (REFUSED, 1), "wrong host": (FAILED, 1), "server": (FAILED, 4), "strange": (FAILED, 2), **LOST,
    },
}  # fmt: skip
WITHIN = {
    # the code of an error of Responses -> what Codex is told inside a stream, where it knows a few codes only
    "upstream_failed": "server_error", "broken_answer": "server_error", "upstream_timeout": "server_error", "": "invalid_prompt",
}  # fmt: skip


def _code(row, seen):
    """The type or code of a row, as this client reads it."""
    code = row[seen.face != "messages"][1]
    return WITHIN.get(code, code) if seen.in_band and seen.face == "responses" else code or seen.type


def test_each_row_is_met_and_heard_as_it_should_be(cells):
    met = {side: set() for side in SIDES}
    for title, case, _, _, seen in cells:
        if title in CLIENTS or title in NEXT or "ign-in" in title or not seen.rules:
            continue
        row = seen.rules[-1]
        met[case.side].add(row)
        if not seen.failed:
            continue
        heard, tries = HEARD[case.side][row]
        assert (seen.code or seen.type) == _code(heard, seen), case.name
        if seen.in_band:
            assert seen.beats or seen.tries == 1, case.name
        else:
            assert seen.status == heard[seen.face != "messages"][0], case.name
            assert seen.tries - seen.rules.count("stale") == tries, case.name
    for side, names in ROWS.items():
        assert set(names) <= met[side]
        assert set(HEARD[side]) == set(names)


def test_what_may_be_asked_again_is_not_heard_of_once(cells):
    """Unless words of it have been heard already."""
    for title, case, when, stream, seen in cells:
        if title not in ASKED or when != "once" or not seen.rules:
            continue
        if "stale" in seen.rules or HEARD[case.side][seen.rules[0]][1] > 1:
            assert (seen.clean, seen.tries) == (True, 2) or (stream and seen.in_band and seen.text and seen.tries == 1), case.name
        else:
            assert (seen.failed, seen.tries) == (True, 1), case.name


def test_another_host_or_account_takes_over_and_nobody_notices(cells):
    titles = ("Two hosts", "Two accounts", "Two accounts of ChatGPT")
    taken = [(title, case, seen) for title, case, _, _, seen in cells if title in titles]
    assert all(seen.clean for *_, seen in taken), [case.name for _, case, seen in taken if not seen.clean]
    met = {title: {seen.rules[-1] for at, _, seen in taken if at == title} for title in titles}
    assert met["Two hosts"] == {row.name for row in TABLES["Kiro"] if row.host}
    reached_by_none = {"connect"}  # neither account gets through where nobody listens
    assert met["Two accounts"] == {row.name for row in TABLES["Kiro"] if row.elsewhere} - reached_by_none | {"needs-login", "refresh-failed"}
    assert met["Two accounts of ChatGPT"] == {row.name for row in TABLES["ChatGPT"] if row.elsewhere} - reached_by_none


def test_an_account_is_left_alone_for_as_long_as_its_provider_asked_and_otherwise_asked(cells):
    left_alone = {
        "402 MONTHLY_REQUEST_COUNT", "403 TEMPORARILY_SUSPENDED", "429 CREDIT_CONSUMPTION_RATE_EXCEEDED", "429 USER_REQUEST_RATE_EXCEEDED with Retry-After: 300",
        "429 usage_limit_reached", "401 account_deactivated", "429 rate_limit_exceeded, with 300s in its words",
        "429 rate_limit_exceeded with Retry-After: 300",
    }  # fmt: skip
    for title, case, _, _, seen in cells:
        if title in NEXT and not case.name.startswith("sign-in"):
            assert (seen.tries, seen.clean) == ((0, False) if case.name in left_alone else (1, True)), case.name


@pytest.mark.parametrize(("fault", "ids"), [("tool_format", 2), ("fields_not_supported", 2), ("high_load", 1), ("hangup", 1)])
def test_what_was_refused_is_asked_as_another_invocation(fault, ids):
    verdicts = Verdicts()
    with verdicts.listening(), standing(verdicts, ["api_key"], {}, cases.by_key, cases.nothing) as stand:
        stand.twin.faults.add(fault, count=1)
        assert stand.ask("messages", False).tries == 2
        assert len({seen.headers["amz-sdk-invocation-id"] for seen in stand.twin.seen()}) == ids
        assert [seen.headers["amz-sdk-request"].partition(";")[0] for seen in stand.twin.seen()] == ["attempt=1", "attempt=2"]


def test_every_fault_of_the_twins_is_in_the_table():
    names = {fault.get("name") for make in cases.SECTIONS.values() for case in make() for fault in case.faults}
    elsewhere = {"slow_headers", "stall", "cut_open", "cut_clean", "cut_reset", "ends_early", "bad_prelude", "bad_length", "bad_header",
                 "bad_payload", "bad_message", "exception_frame", "length_frame", "error_frame"}  # by their members  # fmt: skip
    assert set(mishaps.NAMED) <= names | elsewhere
    names = {fault.get("name") for make in cases_chatgpt.SECTIONS.values() for case in make() for fault in case.faults}
    elsewhere = {"slow_headers", "stall", "cut_open", "cut_clean", "cut_reset", "bad_payload"}
    told_within = {name for name in codex_mishaps.NAMED if name.startswith(("first_", "late_"))}  # the same, at two places
    assert set(codex_mishaps.NAMED) <= names | elsewhere | told_within


# clients


LASTING = ("the account is locked", "the account is closed", "the account needs a login")
QUOTA = ("the plan is used up", "the plan is used up, Kiro names a time", "the plan is used up, ChatGPT names a time")
DIALECTS = {
    # (what happens, client): status, Retry-After, x-should-retry; the same in each API
    **{(QUOTA[0], client): (429, 3600, "false") for client in ("Claude Code", "others")},
    **{(QUOTA[1], client): (429, 86400, "false") for client in ("Claude Code", "others")},
    **{(QUOTA[2], client): (429, 3600, "false") for client in ("Claude Code", "others")},
    **{(name, "Codex"): (429, 30, "false") for name in QUOTA},
    **{(name, "OpenCode"): (403, None, "false") for name in QUOTA},
    **{("too many requests", client): (429, 8, None) for client in cases.AGENTS},
    **{("too many requests, with a hint", client): (429, 7, None) for client in cases.AGENTS},
    **{("credits are spent too fast", client): (429, 300, None) for client in ("Claude Code", "others")},
    **{("credits are spent too fast", client): (429, 30, None) for client in ("Codex", "OpenCode")},
    **{(name, client): (400, None, None) for name in ("too long", "too long, with figures") for client in cases.AGENTS},
    **{(name, client): (403, None, None) for name in LASTING for client in cases.AGENTS},
}  # fmt: skip


def test_each_client_hears_its_dialect(cells):
    for title, case, _, _, seen in cells:
        happened, _, client = case.name.partition(" | ")
        if title not in CLIENTS or happened == "no capacity":
            continue
        status, *hints = DIALECTS[happened, client]
        if seen.face != "messages" and client == "Codex" and happened in LASTING:
            status = 400  # it asks a 403 thirty times
        assert [seen.status, seen.wait, seen.headers.get("x-should-retry")] == [status, *hints], case.name
        if seen.face != "messages" and client == "Codex" and happened in QUOTA:
            assert seen.type == "usage_limit_reached"
            assert seen.error.get("resets_in_seconds") == {"Kiro": {QUOTA[1]: 86400}.get(happened), "ChatGPT": 3600}[case.side]
        if happened == "too long, with figures":
            said = ("prompt is too long: 210000 tokens > 200000 maximum", "This model's maximum context length is 200000 tokens")
            assert seen.words.startswith(said[seen.face != "messages"])
            assert seen.face == "messages" or seen.code == "context_length_exceeded"
        if happened == "too long" and seen.face == "messages":
            assert seen.words.startswith("prompt is too long: ")


def test_a_stream_that_has_not_begun_fails_as_a_whole_answer_does(played):
    for case, whens in (*played["Kiro refuses"], *played["ChatGPT refuses"]):
        for face in {face for face, _ in case.columns}:
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
    whens = {case.name: (case, row) for rows in played.values() for case, row in rows if case.side == "Kiro"}
    with Twin(accounts=["api_key"]) as twin, running(twin, **USUAL) as gateway:
        pauses = Pauses(twin)
        for name in AGAIN:
            case, row = whens[name]
            when = next(iter(row))
            for (face, stream), seen in row[when].items():
                twin.reset()
                twin.script(case.script)
                for fault in case.faults:
                    twin.faults.add(**{"count": 1, **fault})
                again = asked(pauses, gateway.url, face, stream, case.agent, case.tools)
                assert cell(again, case).split(",")[0] == cell(seen, case).split(",")[0], (name, face, stream)
                assert len(twin.seen()) == seen.tries, (name, face, stream)
        assert twin.refusals == []

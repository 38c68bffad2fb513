"""The fault table: what a client got for each thing that can go wrong at either provider, in each API, streamed and not.

`python -m tests.system.faults` prints it, as docs/faults.md has it.
"""

import difflib
import re
import sys
from collections import ChainMap
from concurrent.futures import ThreadPoolExecutor

from kirogw.dialects.codex import faults as codex
from kirogw.dialects.kiro import faults as kiro
from tests.system import cases, cases_chatgpt
from tests.system.stand import Verdicts, standing

SIDES = {"Kiro": kiro, "ChatGPT": codex}
TABLES = {side: (*table.TABLE, table.STRANGE, *table.LOST.values()) for side, table in SIDES.items()}
ROWS = {side: [row.name for row in rows] for side, rows in TABLES.items()}
SECTIONS = {**cases.SECTIONS, **cases_chatgpt.SECTIONS}
CLIENTS = ("Clients", "Clients and ChatGPT")
NAMES = {"messages": "Messages", "chat": "Chat", "responses": "Responses"}
COUNTS = {"once": 1, "always": None}
AT_ONCE = 12
SILENCE = ("Silence", "Silence at ChatGPT")
WAITING = 42  # of these at once, beside the others: they do nothing but wait
HEAD = """# Faults

What a client gets for each thing that can go wrong upstream. Printed by `make faults`: every cell is a question that was
asked over HTTP, to a gateway of its own before the simulator of Kiro or of ChatGPT, which was told to fail. Pauses
between tries are cut short there; what the client is told to wait is not. Kiro's faults come first, then ChatGPT's.

* **whole**: the answer came, and the client saw nothing of the fault. *tries*: how often it was asked for.
* **429 type**: an error with that status and type (Messages) or code (Chat Completions, Responses). *wait*: Retry-After,
  in seconds.
* **in-band type**: a stream that had begun ends with an error event (Responses: `response.failed`). It is never followed
  by an end mark.
* **ends X**: the answer ended early, and says so as its stop reason.
* *beats*: the client heard signs of life meanwhile.

*once* and *always*: the fault came once, or each time; *either*: that makes no difference. *row* is the row of the
decision table (`kirogw/dialects/kiro/faults.py`, `kirogw/dialects/codex/faults.py`) that was met: it says how often the
same account is asked again, whether another host or another account is, and what the client hears. *stale* is none of
them: a kept connection turned out to be dead, and one more try over a new one is free. *needs-login* and *refresh-failed*
come from the sign-in service.

What clients make of errors is behind some of the choices:

* A login that no longer works is 403 and not 401, because clients take a 401 for their own key. Codex
  asks 30 times on either, and on 404: it gets 400, ends its turn at once and shows our words.
* A plan that is used up is 429 with Retry-After and `x-should-retry: false`, and never 402, which Codex tries again and
  again. OpenCode gets 403: on a 429 it would ask for ever.
* No Retry-After for Codex and OpenCode is longer than 30 s, through which they sleep without a word.
* "try again in a moment" or the like stands in each error that may pass, and in none that does not: inside a stream,
  OpenCode goes by such words alone.
* Inside a stream of Responses the codes are those that Codex acts on: it compacts on context_length_exceeded, gives up on
  insufficient_quota and the like, and asks again on what else there is.
* An account that its provider asks to be left alone (Retry-After, retryAfterMilliseconds) is left alone, up to
  ten minutes, or until the time that ChatGPT told for a used-up plan; so is one whose plan is used up or that is locked, for a while. After other failures an only account is asked all the same.
"""


def cell(seen, case):
    """One result in a few words."""
    notes = [f"{seen.tries} tries"] if seen.tries > 1 else []
    notes += ["beats"] if seen.beats else []
    if seen.in_band:
        what = f"in-band {seen.code or seen.type}"
    elif seen.failed:
        what = f"{seen.status} {seen.code or seen.type}"
        notes += [f"wait {_rounded(seen.wait)}"] if seen.wait is not None else []
    elif seen.stop in ("end_turn", "stop", "completed") and seen.text == case.text:
        what = "whole"
    else:
        what = f"ends {seen.stop}"
    return ", ".join([what, *notes])


def _rounded(seconds):
    """A rest has begun some moments before; the one between two renewals is of two seconds."""
    return max(seconds, 2) if seconds < 10 else round(seconds, -1 if seconds < 250 else -2)


def play(verdicts, case, when, columns):
    """Some cells, all on one gateway."""
    with standing(verdicts, case.accounts, case.options, case.login, case.more) as stand:
        return {column: _cell(stand, case, when, *column) for column in columns}


def _cell(stand, case, when, face, stream):
    stand.twin.reset()
    stand.twin.script(case.script)
    for account in stand.state.pool.all():
        stand.state.pool.clear(account.id)
    for fault in case.faults:
        stand.twin.faults.add(**{"count": COUNTS[when], **fault})
    case.first(stand, face)
    seen = stand.ask(face, stream, case.agent, case.tools, case.model, case.beats)
    assert stand.twin.refusals == [], "the gateway sent something malformed"
    return seen


def table(sections=SECTIONS):
    """section -> [(case, {when: {(face, stream): Heard}})], played some at a time."""
    verdicts = Verdicts()
    with verdicts.listening(), ThreadPoolExecutor(AT_ONCE) as busy, ThreadPoolExecutor(WAITING) as waiting:
        pools = {title: waiting if title in SILENCE else busy for title in sections}
        going = {
            title: [(case, {when: [pools[title].submit(play, verdicts, case, when, columns) for columns in _together(case)] for when in case.when})
                    for case in make()]
            for title, make in sections.items()
        }  # fmt: skip
        return {
            title: [(case, {when: dict(ChainMap(*(some.result() for some in cells))) for when, cells in whens.items()}) for case, whens in rows]
            for title, rows in going.items()
        }  # fmt: skip


def _together(case):
    return [case.columns] if case.shared else [(column,) for column in case.columns]


def markdown(played):
    parts = [HEAD]
    for title, rows in played.items():
        parts.append(f"\n## {title}\n\n{_words(SECTIONS[title].__doc__)}\n\n")
        parts += _clients(rows) if title in CLIENTS else _section(rows)
    for side in SIDES:
        parts.append(f"\n## What is said when {side} fails\n\nThe words of each row of the decision table, as Messages has them.\n\n")
        parts += [f"* **{rule}**: {words}\n" for rule, words in said(played, side).items()]
    return "".join(parts)


def differing(page, printed):
    """The lines that differ, as a diff; "" when none does."""
    return "\n".join(difflib.unified_diff(page.split("\n"), printed.split("\n"), "the page", "as printed now", n=0, lineterm=""))


def _words(text):
    return " ".join(text.split())


def _section(rows):
    """Cases that nobody can tell apart stand in one line; in order of the decision table, as far as it was met."""
    columns, side = rows[0][0].columns, rows[0][0].side
    heads = [f"{NAMES[face]}, {'streamed' if stream else 'whole'}" for face, stream in columns]
    yield f"| what happens | when | row | {' | '.join(heads)} |\n{'|---' * (3 + len(heads))}|\n"
    same = {}
    for case, whens in rows:
        same.setdefault(tuple(_lines(case, whens)), []).append(case.name)
    for lines, names in sorted(same.items(), key=lambda pair: _place(side, pair[0][-1][1])):
        for n, (when, met, *cells) in enumerate(lines):
            yield f"| {'; '.join(names) if n == 0 else ''} | {when} | {met} | {' | '.join(cells)} |\n"


def _lines(case, whens):
    """(when, row of the decision table, the cells) for each case, those for once and always in one if they are alike."""
    lines = {when: tuple(cell(cells[column], case) for column in case.columns) for when, cells in whens.items()}
    if len(lines) > 1 and lines["once"] == lines["always"]:
        lines = {"either": lines["always"]}
    for when, line in lines.items():
        met = whens["always" if when == "either" else when]["messages", False].rules
        yield when, ", ".join(dict.fromkeys(met)), *line


def _place(side, met):
    return ROWS[side].index(met) if met in ROWS[side] else len(ROWS[side])


def _clients(rows):
    yield "| what happens | client | Messages | Chat | Responses |\n|---|---|---|---|---|\n"
    for case, whens in rows:
        yield f"| {case.name} | {' | '.join(dialect(whens['always'][column]) for column in case.columns)} |\n"


def dialect(seen):
    """An error as its client reads it: status, type, code, what is said of the time, and the words that it knows."""
    notes = [f"{seen.status} {seen.type}", *([f"code {seen.code}"] if seen.code and seen.code != seen.type else [])]
    notes += [f"Retry-After {_rounded(seen.wait)}"] if seen.wait is not None else []
    notes += ["x-should-retry false"] if seen.headers.get("x-should-retry") == "false" else []
    notes += [f"resets_in_seconds {seen.error['resets_in_seconds']}"] if "resets_in_seconds" in seen.error else []
    notes += [f'"{seen.words[:48]}..."'] if seen.status == 400 else []
    return ", ".join(notes)


def said(played, side):
    """row of the provider's decision table -> the words of the first error that it gave."""
    words = {}
    for rows in played.values():
        for case, whens in rows:
            for cells in whens.values():
                seen = cells["messages", False]
                if case.side == side and seen.failed and seen.rules:
                    words.setdefault(seen.rules[-1], re.sub(r"\b(token|file|key|codex|siwc)-[0-9a-f]{8}\b", r"\1-...", seen.words))
    return dict(sorted(words.items()))


if __name__ == "__main__":
    sys.stdout.write(markdown(table()))

"""`doctor`: looks at everything that the gateway rests on, and says how to mend what is wrong.

`findings.py` is what a look finds, `machine.py` looks at this machine, `network.py` at the way to the upstream,
`accounts.py` at each login. All looks run side by side, and none may take longer than the whole is given.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from kirogw.doctor import accounts, machine, network
from kirogw.doctor.findings import Finding, Patient, fail, worst
from kirogw.redact import clean

__all__ = ["SECONDS", "Finding", "Patient", "examine", "worst"]

SECONDS: Final = 30.0  # for all of it
Look = Callable[[Patient], Iterable[Finding]]

HERE: Final[tuple[tuple[str, Look], ...]] = (
    ("python", machine.python), ("settings", machine.env_file), ("home", machine.home), ("disk", machine.disk),
    ("port", machine.port), ("service", machine.service),
)  # fmt: skip
STATE: Final[tuple[tuple[str, Look], ...]] = (("store", machine.store),)
FILES: Final[tuple[tuple[str, Look], ...]] = (("accounts", accounts.sources),)
NETWORK: Final[tuple[tuple[str, Look], ...]] = (("proxy", network.proxy), ("hosts", network.hosts))


def examine(patient: Patient, seconds: float = SECONDS) -> list[Finding]:
    """All findings, in order. Takes no longer than `seconds`: what is not known by then is a finding too."""
    deadline = time.monotonic() + seconds
    found = _side_by_side(HERE, patient, deadline)
    for looks in (STATE, FILES):  # each rests on the one before
        found += _side_by_side(looks, patient, deadline)
    network_ = () if patient.offline else NETWORK
    found += _side_by_side((*network_, *accounts.looks(patient)), patient, deadline)
    return found if patient.offline else [*found, *network.clock(patient)]


def _side_by_side(looks: Sequence[tuple[str, Look]], patient: Patient, deadline: float) -> list[Finding]:
    """What each finds, in the order of the looks. A thread that hangs is left behind; it ends with the process."""
    found: list[list[Finding]] = [[] for _ in looks]
    threads = [threading.Thread(target=_look, args=(*look, patient, found[n]), daemon=True)
               for n, look in enumerate(looks)]  # fmt: skip
    for thread in threads:
        thread.start()
    for (name, _), thread, mine in zip(looks, threads, found, strict=True):
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            mine.append(fail(name, "this look took too long and was given up",
                             "look at what is slow, or give it more time with --timeout"))  # fmt: skip
    return [finding for mine in found for finding in list(mine)]


def _look(name: str, look: Look, patient: Patient, found: list[Finding]) -> None:
    try:
        found.extend(_cleaned(look(patient)))
    except Exception as error:  # a fault of ours in one look must not cost the others
        found.append(fail(name, f"this look itself failed: {type(error).__name__}", "tell us, with LOG_LEVEL=debug"))


def _cleaned(findings: Iterable[Finding]) -> Iterator[Finding]:
    for one in findings:
        yield Finding(one.level, one.check, clean(one.said), clean(one.mend))

"""What a look finds, and what it looks at."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kirogw.auth import Logins
from kirogw.quotas import Quotas
from kirogw.settings import Settings
from kirogw.store import Store
from kirogw.transport import Transport

OK: Final = "ok"
WARN: Final = "warn"
FAIL: Final = "fail"
LEVELS: Final = (OK, WARN, FAIL)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line for people. `mend` says what to do, "" where nothing is to be done."""

    level: str
    check: str
    said: str
    mend: str = ""


def ok(check: str, said: str) -> Finding:
    return Finding(OK, check, said)


def warn(check: str, said: str, mend: str) -> Finding:
    return Finding(WARN, check, said, mend)


def fail(check: str, said: str, mend: str) -> Finding:
    return Finding(FAIL, check, said, mend)


def worst(findings: Iterable[Finding]) -> int:
    """0: all is well, 1: something should be looked at, 2: something does not work."""
    return max((LEVELS.index(one.level) for one in findings), default=0)


@dataclass(slots=True)
class Patient:
    """What is looked at, and what the looks find out for each other. The last members are the machine's own answers,
    which a test can give instead.
    """

    settings: Settings
    transport: Transport
    user: Path = field(default_factory=Path.home)
    offline: bool = False
    may_open: bool = True  # whether KIROGW_HOME is ours to write in
    store: Store | None = None
    logins: Logins | None = None
    quotas: Quotas | None = None
    dates: list[tuple[str, float]] = field(default_factory=list)  # host, by how much our clock is ahead of its
    python: tuple[int, int, int] = sys.version_info[:3]
    free: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free
    now: Callable[[], float] = time.time
    systemd: Path = Path("/run/systemd/system")

    @property
    def home(self) -> Path:
        return Path(self.settings.kirogw_home).expanduser()

"""What is to be known about the programs that ask, whichever API they speak: who it is, its session, what it waits for.

The behaviours are measured (Claude Code 2.1, Codex 0.169, OpenCode 1.18, the SDKs; November 2026).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final, TypeVar

from kirogw.dialects.face import Client
from kirogw.dialects.fields import may
from kirogw.errors import Busy, FormatMissed, GatewayError, Overloaded, QuotaUsed, ShuttingDown
from kirogw.wire import Json

T = TypeVar("T")

AGENTS: Final[tuple[tuple[str, Client], ...]] = (
    ("claude-cli/", "claude"), ("claude-code/", "claude"),
    ("codex", "codex"),  # codex_exec/, codex_cli_rs/, codex-tui/
    ("opencode/", "opencode"), ("kilo", "opencode"),  # Kilo is a fork of OpenCode
)  # fmt: skip

SESSIONS: Final = ("x-claude-code-session-id", "x-session-id", "x-session-affinity", "session-id", "thread-id")
"""Headers with the client's own session: Claude Code, OpenCode and Kilo, Codex. In order of preference."""

CREATED: Final = 1_752_451_200
"""The date of every model in the lists: they must have one, and the catalogue has none. 2025-07-14, when Kiro came."""

CAP: Final = 30
"""Seconds. Codex and OpenCode sleep through a longer Retry-After without a word; Claude Code stops and shows ours."""

WAITS: Final[dict[type[GatewayError], float]] = {Busy: 5, QuotaUsed: 3600, Overloaded: 3, ShuttingDown: 1}
"""Seconds to name where the upstream named none. Codex gives up at once on a 429 without the header."""

ASKED_AGAIN: Final = re.compile(
    r"rate.?limit|too many requests|overload|unavailable|exhausted|capacity|server.error|internal.error|time(d )?.?out"
    r"|terminated|connection|network|retry|try (again|your request)", re.I,
)  # fmt: skip
"""Words by which OpenCode asks again, whatever the status, and the only thing it goes by inside a stream. So they stand
in an error that passes and in no other. (Its own list is longer in some and shorter in other places; version 1.18.)
"""


def client_of(user_agent: str) -> Client:
    name = user_agent.lower()
    return next((client for start, client in AGENTS if name.startswith(start)), "other")


def session_of(headers: Mapping[str, str]) -> str:
    """The client's own session key, or "". Sub-agents run side by side in one session: each has its own key."""
    for name in SESSIONS:
        if session := headers.get(name):
            agent = headers.get("x-claude-code-agent-id") or headers.get("thread-id", session)
            return f"{session}/{agent}" if agent != session else session
    return ""


def session_in(body: Json) -> str:
    """The session of a request of OpenAI's: the cache key is made for this; the others at least tell users apart."""
    names = ("prompt_cache_key", "user", "safety_identifier")
    return next((key for name in names if (key := may(body, name, str, ""))), "")


def row(error: GatewayError, client: Client, table: Mapping[type[GatewayError], T],
        exceptions: Mapping[tuple[type[GatewayError], Client], T]) -> T:  # fmt: skip
    """What a face's table has for the error, or its exceptions for this client: the most special class wins."""
    for cls in type(error).__mro__:
        if (cls, client) in exceptions:
            return exceptions[cls, client]
        if cls in table:
            return table[cls]
    raise TypeError(f"not an error of ours: {type(error).__name__}")


def hints(error: GatewayError, client: Client, status: int) -> dict[str, str]:
    """The headers that tell a client whether and when to try again.

    Retry-After stands on every 429, in whole seconds. `x-should-retry: false` keeps the SDKs and Claude Code from
    spending their tries on a quota that will not come back by then, or money on an answer that was asked for twice.
    """
    headers: dict[str, str] = {}
    wait = error.wait if error.wait is not None else _usual_wait(error)
    if wait is not None and status >= 429:
        seconds = max(1, math.ceil(wait))
        headers["Retry-After"] = str(min(seconds, CAP) if client in ("codex", "opencode") else seconds)
    if isinstance(error, QuotaUsed | FormatMissed):
        headers["x-should-retry"] = "false"
    return headers


def _usual_wait(error: GatewayError) -> float | None:
    return next((WAITS[cls] for cls in type(error).__mro__ if cls in WAITS), None)

"""A login as it is kept: whatever provider it is for, and wherever it lies. A value only."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeAlias

Kind: TypeAlias = Literal["social", "idc", "builder", "external", "key", "codex", "siwc"]
"""Of Kiro the first five. `codex`: ChatGPT, as Codex CLI's own client; `siwc`: by Sign in with ChatGPT."""

NAMES: Final[Mapping[str, str]] = {
    "Github": "GitHub", "BuilderId": "Builder ID", "Enterprise": "Identity Center", "ExternalIdp": "external provider",
}  # fmt: skip
KINDS: Final[Mapping[Kind, str]] = {
    "social": "Google or GitHub", "idc": "Identity Center", "builder": "Builder ID", "external": "external provider",
    "key": "API key", "codex": "ChatGPT (Codex)", "siwc": "ChatGPT",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Credential:
    """One login. Times are in epoch seconds; None is "nobody knows". Secrets are left out of the repr.

    `sso_region` is where the session was issued and `client_region` where its OIDC client was registered; neither says
    which region serves the API. `region` does, and only an API key has it. `issued_at` is known only of tokens that
    this gateway renewed itself. `machine` is the id that an export brought along, "" when none did.

    Of ChatGPT: `workspace` is the account id that calls name; several people may share one, so `user` tells them apart.
    `id_token` is kept for files that hold it. `plan` as its claims say.
    """

    kind: Kind
    access: str = field(default="", repr=False)
    refresh: str = field(default="", repr=False)
    expires_at: float | None = None
    issued_at: float | None = None
    client_id: str = field(default="", repr=False)
    client_secret: str = field(default="", repr=False)
    client_ends: float | None = None
    sso_region: str = ""
    client_region: str = ""
    region: str = ""
    profile: str = ""
    token_endpoint: str = ""
    scopes: tuple[str, ...] = ()
    audience: str = ""
    start_url: str = ""
    provider: str = ""
    email: str = field(default="", repr=False)
    machine: str = ""
    id_token: str = field(default="", repr=False)
    workspace: str = ""
    user: str = ""
    plan: str = ""

    @property
    def identity(self) -> str:
        """Changes when somebody else signs in, and not when a token is renewed, as far as that can be told."""
        parts = [self.kind, self.provider, self.client_id, self.start_url, self.token_endpoint]
        if self.workspace:
            parts += [self.workspace, self.user or self.email]
        return fingerprint("\n".join(parts))

    @property
    def who(self) -> str:
        """Whose login it is, for people: never more than two letters of a mail address."""
        name = NAMES.get(self.provider, self.provider) or KINDS[self.kind]
        local, at, host = self.email.partition("@")
        return f"{name}, {local[:2]}***@{host}" if at else name


def fingerprint(secret: str) -> str:
    """Tells two secrets apart and gives neither away."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def machine_id(credential: Credential) -> str:
    """The account's machine id: call once and keep the answer, since the token that it is made of will change."""
    seed = credential.refresh or credential.access
    return credential.machine or hashlib.sha256(f"kiro-machine:{seed}".encode("utf-8", "surrogatepass")).hexdigest()


def moment(value: Any) -> float | None:
    """Epoch seconds of a time in any form met: RFC 3339 (up to nine digits of fraction), seconds, milli-, micro- or
    nanoseconds, as number or text. What is no time (null, NaN, zero, nonsense) is None.
    """
    if isinstance(value, str):
        return _moment_of_text(value.strip())
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    if not math.isfinite(seconds) or seconds <= 0:
        return None
    while seconds > 1e11:  # seconds reach that in the year 5138
        seconds /= 1000
    return seconds


def _moment_of_text(value: str) -> float | None:
    try:
        return moment(float(value))
    except ValueError:
        pass
    try:
        when = datetime.fromisoformat(value)
    except ValueError:
        return None
    return max(when.replace(tzinfo=when.tzinfo or UTC).timestamp(), 1.0)

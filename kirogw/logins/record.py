"""What the gateway itself keeps of an account. Where it lies: `memory.py`.

It is the memory that outlives a crash: which refresh token was on its way, which was refused, the tokens that could
not go back to where they came from, and what must not change with each renewal (machine id) or costs calls to find out
(profile). Secrets are named in it by their fingerprints, but for `tokens`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final

from kirogw.dialects.credential import Credential, fingerprint, moment
from kirogw.wire import Json

VERSION: Final = 1
OWNER: Final = ("id_token", "workspace", "user", "email", "plan")  # of a ChatGPT login, where its tokens said it


@dataclass(frozen=True, slots=True)
class Record:
    """Times in epoch seconds. A refresh token is meant by its fingerprint.

    `machine`: the machine id. `profile`: as found for `identity`, better than `passed_over`; `rung`: of a Builder ID's
    ladder. `sent`: the refresh token that has left for a renewal whose end is not known. `refused`: the one that was
    refused, at `refused_at`, on the way `refused_by`, for the reason `why`; `lost` says that a renewal before it had
    never come to its end, so that the token that came of it is likely lost. `failures`: renewals that failed in a row,
    the last at `failed_at`; the service said to wait for `hint` seconds. `access` and `issued_at`: since when the
    access token has lived. `tokens`: a renewed login that is kept here, in place of that one of the source whose
    refresh token is `instead_of`.
    """

    machine: str = ""
    identity: str = ""
    profile: str = ""
    passed_over: str = ""
    rung: int = 0
    sent: str = ""
    sent_at: float = 0.0
    refused: str = ""
    refused_at: float = 0.0
    refused_by: str = ""
    lost: bool = False
    why: str = ""
    failures: int = 0
    failed_at: float = 0.0
    hint: float = 0.0
    access: str = ""
    issued_at: float = 0.0
    instead_of: str = ""
    tokens: Json = field(default_factory=dict, repr=False)
    rest: Json = field(default_factory=dict, repr=False)  # members of a newer version: they survive

    def over(self, source: Credential) -> Credential:
        """The login in force: the one kept here if it came of what the source still has, else the source's."""
        if self.tokens and self.instead_of == fingerprint(source.refresh):
            kept = {name: str(self.tokens.get(name) or "") for name in ("access", "refresh", "profile")}
            ends, begun = moment(self.tokens.get("expires_at")), moment(self.tokens.get("issued_at"))
            source = replace(source, access=kept["access"], refresh=kept["refresh"], expires_at=ends, issued_at=begun,
                             profile=source.profile or kept["profile"], **self._owner(source))  # fmt: skip
        if self.access and self.access == fingerprint(source.access):
            source = replace(source, issued_at=self.issued_at)
        return source

    def _owner(self, source: Credential) -> Json:
        """What a renewed ChatGPT login says anew; a record of before has nothing of it."""
        new = {name: str(self.tokens.get(name) or "") for name in OWNER}
        return {name: value or getattr(source, name) for name, value in new.items()}

    def renewed(self, credential: Credential, instead_of: str) -> Record:
        """After a renewal that worked. `instead_of` is the source's refresh token if the new ones stay here, or ""."""
        tokens = {} if not instead_of else {
            "access": credential.access, "refresh": credential.refresh, "expires_at": credential.expires_at,
            "issued_at": credential.issued_at, "profile": credential.profile,
            **{name: value for name in OWNER if (value := getattr(credential, name))},
        }  # fmt: skip
        return replace(
            self, sent="", sent_at=0.0, refused="", refused_at=0.0, refused_by="", lost=False, why="", failures=0,
            failed_at=0.0, hint=0.0, tokens=tokens, instead_of=fingerprint(instead_of) if instead_of else "",
            access=fingerprint(credential.access), issued_at=credential.issued_at or 0.0,
        )  # fmt: skip


LARGEST: Final = 1e15  # of a number that anything here can be
KINDS: Final = {spec.name: type(getattr(Record(), spec.name)) for spec in fields(Record)}


def read(members: Mapping[str, Any]) -> Record:
    """A record from what was kept of it. Members of a wrong type count as missing."""
    known = {name: value for name, value in members.items() if name in KINDS and name != "rest"}
    good = {name: KINDS[name](value) for name, value in known.items() if _fits(value, KINDS[name])}
    rest = {name: value for name, value in members.items() if name not in KINDS and name != "version"}
    return Record(**good, rest=rest)


def _fits(value: Any, kind: type) -> bool:
    if kind in (int, float):
        return type(value) in (int, float) and abs(value) < LARGEST  # which neither infinity is, nor what is no number
    return type(value) is kind


def written(record: Record) -> Json:
    """What `read` reads, all but the tokens: those are kept apart, sealed."""
    members = asdict(record)
    del members["tokens"], members["instead_of"]
    return {"version": VERSION, **members.pop("rest"), **members}

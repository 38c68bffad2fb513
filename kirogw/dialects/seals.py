"""What makes a thought of an earlier turn believable to its provider, packed into one string that clients carry for us.

`kgw2:KIND:MARK:MODEL:VALUE`. KIND is "s" for the signature of a thought that can be read, "r" for the base64 of one
that can not (both Kiro's), "c" for the encrypted content of a reasoning item of ChatGPT's; MARK tells the account that
thought, to whoever knows the gateway's secret and to nobody else; MODEL is the model, because Kiro refuses a seal under
any other (kiro 7.3); VALUE is verbatim and may hold any character.
`kgw1:KIND:MODEL:VALUE`, without an account, is what clients hold from before there were several.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final, Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal["s", "r", "c"]

_KINDS: Final[dict[str, Kind]] = {"s": "s", "r": "r", "c": "c"}


class Seal(NamedTuple):
    """`mark` is "" where nobody knows whose it is."""

    kind: Kind
    model: str
    value: str
    mark: str = ""


def seal(kind: Kind, model: str, value: str, mark: str = "") -> str:
    model = model.replace("%", "%25").replace(":", "%3A")
    return f"kgw2:{kind}:{mark}:{model}:{value}" if mark else f"kgw1:{kind}:{model}:{value}"


def unseal(text: str) -> Seal | None:
    """None when the seal is not ours, or holds nothing."""
    form, _, rest = text.partition(":")
    kind, _, rest = rest.partition(":")
    mark = ""
    if form == "kgw2":
        mark, _, rest = rest.partition(":")
    model, _, value = rest.partition(":")
    if form not in ("kgw1", "kgw2") or kind not in _KINDS or not value or (form == "kgw2" and not mark):
        return None
    return Seal(_KINDS[kind], model.replace("%3A", ":").replace("%25", "%"), value, mark)


def mark(secret: bytes, account: str) -> str:
    """The mark of an account in seals: the same for ever, and no way back from it."""
    digest = hashlib.blake2b(f"account {account}".encode(), key=secret[:64], digest_size=6).digest()
    return base64.urlsafe_b64encode(digest).decode()

"""What makes a thought of an earlier turn believable to Kiro, packed into one string that clients carry for us.

`kgw1:KIND:MODEL:VALUE`. KIND is "s" for the signature of a thought that can be read, "r" for the base64 of one that can
not; MODEL is the model that thought, because Kiro refuses a seal under any other (kiro 7.3); VALUE is verbatim and may
hold any character.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal["s", "r"]

_MARK: Final = "kgw1"
_KINDS: Final[dict[str, Kind]] = {"s": "s", "r": "r"}


def seal(kind: Kind, model: str, value: str) -> str:
    return f"{_MARK}:{kind}:{model.replace('%', '%25').replace(':', '%3A')}:{value}"


def unseal(text: str) -> tuple[Kind, str, str] | None:
    """Kind, model and value; None when the seal is not ours, or holds nothing."""
    mark, _, rest = text.partition(":")
    kind, _, rest = rest.partition(":")
    model, _, value = rest.partition(":")
    if mark != _MARK or kind not in _KINDS or not value:
        return None
    return _KINDS[kind], model.replace("%3A", ":").replace("%25", "%"), value

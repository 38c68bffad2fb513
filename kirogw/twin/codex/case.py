"""What the tables of refusals look at, and the bodies in which a refusal is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from kirogw.twin.codex.accounts import Account
from kirogw.twin.codex.ask import Ask
from kirogw.twin.codex.state import Options
from kirogw.twin.state import Incoming
from kirogw.wire import Json

LITE: Final = "x-openai-internal-codex-responses-lite"


@dataclass(frozen=True)
class Case:
    """One request. `read`: the body is JSON."""

    ask: Ask
    account: Account
    incoming: Incoming
    options: Options
    read: bool = True
    thoughts: Mapping[str, str] = field(default_factory=dict)  # by the id of an item: that of the reasoning before it

    @property
    def body(self) -> Json:
        return self.ask.payload

    @property
    def siwc(self) -> bool:
        return self.account.kind == "siwc"

    @property
    def lite(self) -> bool:
        """The header says that the body is of the Lite form."""
        return self.incoming.headers.get(LITE, "").lower() == "true"


Verdict: TypeAlias = Json | bool | None


@dataclass(frozen=True)
class Row:
    """`refuses` gives the body of the refusal, or only whether it is one: then `body` is told."""

    name: str
    refuses: Callable[[Case], Verdict]
    why: str
    body: Json | None = None
    status: int = 400


def detail(message: Any) -> Json:
    return {"detail": message}


def error(message: str, param: str | None = None, code: str | None = None) -> Json:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


def unknown(param: str) -> Json:
    return error(f"Unknown parameter: '{param}'.", param, "unknown_parameter")


def missing(param: str) -> Json:
    return error(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")


def wrong_type(param: str, wanted: str, value: Any) -> Json:
    got = NAMES.get(type(value), "something else")
    return error(f"Invalid type for '{param}': expected {wanted}, but got {got} instead.", param, "invalid_type")


def wrong_value(param: str, value: Any, choices: Any) -> Json:
    told = ", ".join(f"'{choice}'" for choice in choices)
    return error(f"Invalid value: '{value}'. Supported values are: {told}.", param, "invalid_value")


def too_long(param: str, value: str, limit: int) -> Json:
    return error(f"Invalid '{param}': string too long. Expected a string with maximum length {limit}, but got a string "
                 f"with length {len(value)} instead.", param, "string_above_max_length")  # fmt: skip


def incapable(param: str) -> Json:
    """What Sign in with ChatGPT has not."""
    code = "subscription_sharing_unsupported_capability"
    return error("This capability is not supported for subscription sharing.", param, code)


NAMES: Final[dict[type, str]] = {
    dict: "an object", list: "an array", str: "a string", bool: "a boolean", int: "an integer", float: "a number",
    type(None): "null",
}  # fmt: skip
WANTED: Final[dict[Any, str]] = {
    dict: "an object", list: "an array of objects", str: "a string", bool: "a boolean",
    (str, list): "one of an array of objects or string",
}  # fmt: skip


def shaped(value: Any, at: str, need: Json, may: Json) -> Json | None:
    """What is wrong with the members of an object: tables of name to type. null counts as absent where it may be."""
    if not isinstance(value, dict):
        return wrong_type(at, "an object", value)
    for name in value:
        if name not in need and name not in may:
            return unknown(f"{at}.{name}" if at else name)
    for name, kind in need.items():
        if name not in value:
            return missing(f"{at}.{name}")
        if not isinstance(value[name], kind):
            return wrong_type(f"{at}.{name}", WANTED[kind], value[name])
    for name, kind in may.items():
        if kind and value.get(name) is not None and not isinstance(value[name], kind):
            return wrong_type(f"{at}.{name}" if at else name, WANTED[kind], value[name])
    return None

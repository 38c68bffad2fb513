"""What is asked and what was said, before any SDK's words for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Tool:
    """`schema` of a function; a custom tool has none and takes free text."""

    name: str
    description: str
    schema: Json | None = None


@dataclass
class Called:
    """`given`: the arguments of a function as an object, the text of a custom tool as it is."""

    id: str
    name: str
    given: Any


@dataclass
class Said:
    """A whole answer, as the SDK's own value told it. `deltas` counts the pieces that text came in; `back` is what a
    caller keeps of it for the next request; `kept` its id, where the answer can be named by that.
    """

    text: str
    stop: str
    read: int
    wrote: int
    thought: str = ""
    calls: list[Called] = field(default_factory=list)
    parsed: Any = None
    deltas: int = 0
    back: list[Any] = field(default_factory=list)
    kept: str = ""


@dataclass(frozen=True)
class User:
    text: str
    image: str = ""  # a PNG in base64


@dataclass(frozen=True)
class Results:
    """What the tools gave back: (call, text); `image` goes with the last, where the API has room for it."""

    given: tuple[tuple[Called, str], ...]
    image: str = ""


@dataclass(frozen=True)
class Asked:
    """`turns` are Users, Saids and Results. `shape`: a pydantic class that the answer must fit."""

    turns: tuple[User | Said | Results, ...]
    system: str = ""
    tools: tuple[Tool, ...] = ()
    thinking: bool = False
    shape: Any = None

    @property
    def schema(self) -> Json:
        """The shape as a caller writes it out that does not let the SDK do so."""
        return {**self.shape.model_json_schema(), "additionalProperties": False}


def agreeing(said: Said, told: list[str]) -> Said:
    """`said`, whose text is what the stream has told piece by piece."""
    pieces = "".join(told)
    assert pieces == said.text, f"the deltas say {pieces!r}, the whole {said.text!r}"
    return said


class Refused(Exception):
    """The SDK itself does not send such a request by this helper; its words."""

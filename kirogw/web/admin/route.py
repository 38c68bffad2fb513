"""What a route of the administration is: one row, from which Flask's rule and the OpenAPI document are both made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kirogw.web.admin import shape
from kirogw.wire import Json

NOTHING: Final[Json] = shape.record({})


@dataclass(frozen=True, slots=True)
class Asked:
    """A request whose query and body have the shape that the route wants. `place` holds the values of the path."""

    place: Mapping[str, str]
    query: Json
    body: Json


@dataclass(frozen=True, slots=True)
class Route:
    """`path` in Flask's words (`/api/accounts/<id>`). `answer` is the schema of what `view` gives; a view whose `media`
    is not JSON gives text. `scope` is what the caller's key must be good for, "" for any key. `errors` are statuses
    beyond those that every route may have. A `file` is offered to be saved under that name.
    """

    method: str
    path: str
    summary: str
    view: Callable[[Asked], Any]
    answer: Json
    tag: str
    query: Json = field(default_factory=lambda: NOTHING)
    body: Json = field(default_factory=lambda: NOTHING)
    status: int = 200
    scope: str = "admin"
    media: str = "application/json"
    errors: tuple[int, ...] = ()
    file: str = ""

    @property
    def safe(self) -> bool:
        return self.method == "GET"

"""HTTP as values, so that a dialect can say what to send without knowing how it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request to an upstream. `url` is absolute; header names are as they go out."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole HTTP answer, already read. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

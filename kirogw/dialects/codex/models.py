"""ChatGPT's models: its catalogue, the same by both doors, and finding the model that a name means (codex 9)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from kirogw.dialects.efforts import LEVELS
from kirogw.dialects.provider import Model, Target
from kirogw.dialects.replied import list_of, parsed, text_of
from kirogw.wire import Json, Reply

WINDOW: Final = 272_000
OUTPUT: Final = 128_000
USUAL: Final = ("low", "medium", "high", "xhigh")
"""Levels that every model takes, where the catalogue does not say."""


def read_list(reply: Reply, version: str) -> list[Model]:
    """The models that work with this version of the protocol. Raises LookupError when it is no list.

    What is malformed is passed over, for a strange row must not cost all others.
    """
    if reply.status != 200:
        raise LookupError(f"the catalogue answered {reply.status}")
    body = parsed(reply.body) or {}
    rows = next((body[name] for name in ("models", "data") if isinstance(body.get(name), list)), None)
    if rows is None:
        raise LookupError("the catalogue answered something that is no list")
    known = [row for row in rows if isinstance(row, dict) and _id(row)]
    return [_model(row) for row in known if _numbers(row.get("minimal_client_version")) <= _numbers(version)]


def _id(row: Json) -> str:
    return text_of(row.get("slug")) or text_of(row.get("id"))


def _model(row: Json) -> Model:
    id_ = _id(row)
    levels, kinds = list_of(row.get("supported_reasoning_levels")), row.get("input_modalities")
    told = [level.get("effort") if isinstance(level, dict) else level for level in levels]
    efforts = tuple(level for level in LEVELS if level in told)  # `ultra` is a wish that only Codex CLI itself grants
    default = text_of(row.get("default_reasoning_level"))
    return Model(
        id_, text_of(row.get("display_name")) or id_, _count(row.get("context_window")) or WINDOW, OUTPUT,
        not isinstance(kinds, list) or "image" in kinds, description=text_of(row.get("description")), efforts=efforts,
        effort=default if default in efforts else "", lite=row.get("use_responses_lite") is True,
        hidden=text_of(row.get("visibility")) in ("hide", "none"),
    )  # fmt: skip


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _numbers(version: Any) -> tuple[int, ...]:
    """`0.155.0` or `[0, 155, 0]`, to be compared; () where there is none."""
    if isinstance(version, list):
        return tuple(part for part in version if isinstance(part, int))
    return tuple(int(part) for part in re.findall(r"\d{1,9}", version)) if isinstance(version, str) else ()


# Without a catalogue

_SIX: Final = (*USUAL, "max")

FALLBACK: Final[tuple[Model, ...]] = (
    # as known in November 2026 (codex 9.1, 9.2); the live catalogue goes before
    Model("gpt-6.1-sol", "GPT-6.1 Sol", WINDOW, OUTPUT, efforts=_SIX, effort="low", lite=True),
    Model("gpt-6-astra", "GPT-6 Astra", WINDOW, OUTPUT, efforts=_SIX, lite=True),
    Model("gpt-6-sol", "GPT-6 Sol", WINDOW, OUTPUT, efforts=_SIX, lite=True),
    Model("gpt-6-luna", "GPT-6 Luna", WINDOW, OUTPUT, efforts=_SIX, lite=True),
    Model("gpt-5.6-sol", "GPT-5.6 Sol", WINDOW, OUTPUT, efforts=_SIX, effort="low", lite=True),
    Model("gpt-5.6-terra", "GPT-5.6 Terra", WINDOW, OUTPUT, efforts=_SIX, effort="medium", lite=True),
    Model("gpt-5.6-luna", "GPT-5.6 Luna", WINDOW, OUTPUT, efforts=_SIX, lite=True),
)

# Names

_WINDOW: Final = re.compile(r"\[(1m|200k)\]$")
_PREFIX: Final = re.compile(r"^(codex|openai)/")
_ANY_DASH: Final = re.compile(r"(\d)-(\d)")


def resolve(name: str, known: Sequence[Model]) -> Target:
    """The model that a name means, without regard to case; one that means none is passed on, for ChatGPT knows best.

    Aliases, and wishes for thinking or effort behind the name, are `routing`'s.
    """
    catalogue = {model.id.lower(): model for model in known}
    for spelling in _spellings(name.strip()):
        if spelling.lower() in catalogue:
            return Target(catalogue[spelling.lower()], True)
    plain = _PREFIX.sub("", _WINDOW.sub("", name.strip()))
    return Target(Model(plain, plain, WINDOW, OUTPUT, efforts=USUAL), False)


def _spellings(name: str) -> Iterator[str]:
    """How the catalogue may write `name`, the closest first."""
    yield name
    yield (name := _WINDOW.sub("", name))
    yield (name := _PREFIX.sub("", name))
    yield _ANY_DASH.sub(r"\1.\2", name)

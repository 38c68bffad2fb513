"""Kiro's models: reading its catalogue, and finding the model that a name means.

Source: kiro 2.2 (ListAvailableModels), 6.1 (the table), 6.2 (names).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from kirogw.dialects.kiro.effort import levels
from kirogw.dialects.kiro.login import control_request
from kirogw.dialects.provider import Login, Model, Target
from kirogw.dialects.replied import list_of, number_of, object_of, parsed, text_of
from kirogw.settings import Settings
from kirogw.wire import Json, Reply, Request

MILLION: Final = 1_000_000
PAGE: Final = 100
SECRET: Final = "..."
"""What GPT models say in place of their thinking."""


def is_gpt(id_: str) -> bool:
    return id_.startswith("gpt")


# The catalogue


def list_request(login: Login, base: str, settings: Settings, next_token: str = "") -> Request:
    """One page of ListAvailableModels. `next_token` comes from the page before, "" for the first."""
    body: Json = {"origin": settings.kiro_origin, "maxResults": PAGE}
    if login.profile:
        body["profileArn"] = login.profile
    if next_token:
        body["nextToken"] = next_token
    return control_request("ListAvailableModels", login, base, settings, body)


def read_list(reply: Reply) -> tuple[list[Model], str]:
    """The models of one page, and the mark of the next, "" for none. Raises LookupError when it can not be read."""
    if reply.status != 200:
        raise LookupError(f"the control host answered {reply.status}")
    body = parsed(reply.body)
    if body is None:
        raise LookupError("the control host answered something that is no list")
    return read_models(body), text_of(body.get("nextToken"))


def read_models(body: Json) -> list[Model]:
    """The models of one page. What is malformed is passed over, for a strange row must not cost all others."""
    return [_model(row) for row in list_of(body.get("models")) if _is_model(row)]


def _is_model(row: Any) -> bool:
    return isinstance(row, dict) and isinstance(row.get("modelId"), str) and bool(row["modelId"])


def _model(row: Json) -> Model:
    limits, kinds = object_of(row.get("tokenLimits")), row.get("supportedInputTypes")
    return _leveled(Model(
        row["modelId"], text_of(row.get("modelName")), _count(limits.get("maxInputTokens")) or 200_000,
        _count(limits.get("maxOutputTokens")), not isinstance(kinds, list) or "IMAGE" in kinds,
        _fields(row.get("additionalModelRequestFieldsSchema")), number_of(row.get("rateMultiplier")),
        text_of(row.get("description")),
    ))  # fmt: skip


def _leveled(model: Model) -> Model:
    efforts, effort = levels(model.fields)
    return replace(model, efforts=efforts, effort=effort) if efforts else model


def _count(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and value > 0 else None


def _fields(value: Any) -> Json | None:
    """The schema may come as an object, as JSON text, or as null; one without properties allows nothing."""
    if isinstance(value, str):
        value = parsed(value)
    return value if isinstance(value, dict) and value.get("properties") else None


# Without a catalogue


def _claude(levels: str, kinds: str = "adaptive disabled", default: str = "high") -> Json:
    return _closed(
        thinking=_closed(type={"type": "string", "enum": kinds.split()},
                         display={"type": "string", "enum": ["summarized", "omitted"]}),
        output_config=_closed(effort={"type": "string", "enum": levels.split(), "default": default}),
    )  # fmt: skip


def _gpt() -> Json:
    levels = ["none", *_FIVE.split()]
    return _closed(reasoning=_closed(effort={"type": "string", "enum": levels, "default": "high"}))


def _closed(**properties: Json) -> Json:
    return {"type": "object", "properties": properties, "additionalProperties": False}


_FIVE: Final = "low medium high xhigh max"
_FOUR: Final = "low medium high max"

FALLBACK: Final[tuple[Model, ...]] = tuple(map(_leveled, (
    # as published between April and October 2026 (kiro 6.1); the live catalogue goes before
    Model("auto", "Auto", MILLION, 64_000, rate=1.0),
    Model("claude-opus-5.5", "Claude Opus 5.5", MILLION, 128_000, True, _claude(_FIVE, "adaptive", "medium"), 2.0),
    Model("claude-opus-5", "Claude Opus 5", MILLION, 128_000, True, _claude(_FIVE), 2.2),
    Model("claude-opus-4.8", "Claude Opus 4.8", MILLION, 128_000, True, _claude(_FIVE), 2.2),
    Model("claude-opus-4.7", "Claude Opus 4.7", MILLION, 128_000, True, _claude(_FIVE, default="xhigh"), 2.2),
    Model("claude-opus-4.6", "Claude Opus 4.6", MILLION, 64_000, True, _claude(_FOUR), 2.2),
    Model("claude-opus-4.5", "Claude Opus 4.5", 200_000, 64_000, True, None, 2.2),
    Model("claude-sonnet-5.5", "Claude Sonnet 5.5", MILLION, 64_000, True, _claude(_FIVE, "adaptive between_tools"),
          1.3),
    Model("claude-sonnet-5", "Claude Sonnet 5", MILLION, 64_000, True, _claude(_FIVE), 1.3),
    Model("claude-sonnet-4.6", "Claude Sonnet 4.6", MILLION, 64_000, True, _claude(_FOUR), 1.3),
    Model("claude-sonnet-4.5", "Claude Sonnet 4.5", 200_000, 64_000, True, None, 1.3),
    Model("claude-sonnet-4", "Claude Sonnet 4", 200_000, 64_000, True, None, 1.3),
    Model("claude-haiku-4.5", "Claude Haiku 4.5", 200_000, 64_000, True, None, 0.4),
    Model("claude-fable-5.1", "Claude Fable 5.1", MILLION, 128_000, True, _claude(_FIVE)),
    Model("claude-fable-5", "Claude Fable 5", MILLION, 128_000, True, _claude(_FIVE)),
    Model("gpt-5.6-sol", "GPT 5.6 Sol", 272_000, 128_000, True, _gpt(), 4.4),
    Model("gpt-5.6-terra", "GPT 5.6 Terra", 272_000, 128_000, True, _gpt(), 2.2),
    Model("gpt-5.6-luna", "GPT 5.6 Luna", 272_000, 128_000, True, _gpt(), 1.1),
    Model("deepseek-3.2", "DeepSeek 3.2", 164_000, 64_000, False, None, 0.25),
    Model("minimax-m2.5", "MiniMax M2.5", 196_000, 64_000, False, None, 0.25),
    Model("minimax-m2.1", "MiniMax M2.1", 196_000, 64_000, False, None, 0.15),
    Model("glm-5", "GLM 5", 200_000, 64_000, False, None, 0.5),
    Model("qwen3-coder-next", "Qwen3 Coder Next", 256_000, 64_000, False, None, 0.05),
)))

# Names

_WINDOW: Final = re.compile(r"(?P<big>\[1m\]|-1m)$|\[200k\]$")
_AGE: Final = re.compile(r"-latest$|[-@]20\d{6}$")
_DASHED: Final = re.compile(r"(claude-[a-z]+-\d+)-(\d{1,2})$")
_OLD_ORDER: Final = re.compile(r"claude-(\d+)[-.](\d{1,2})-([a-z]+)$")
_ANY_DASH: Final = re.compile(r"(\d)-(\d)")


def resolve(name: str, models: Sequence[Model]) -> Target:
    """The model that a name means; one that means none is passed on, for the upstream knows best. Aliases, prefixes and
    wishes for thinking are `routing`'s.

    Never another version than the name says: `claude-opus-5-1m` is opus 5 with a big window, not 5.1.
    """
    catalogue = {model.id.lower(): model for model in models}
    plain, big = name.strip().lower(), False
    if plain not in catalogue and (window := _WINDOW.search(plain)):
        plain, big = plain[: window.start()], window["big"] is not None
    spellings = list(_spellings(plain))
    if big:
        spellings = [f"{spelling}-1m" for spelling in spellings] + spellings
    for spelling in spellings:
        if spelling in catalogue:
            return Target(catalogue[spelling], True, big=big)
    id_ = _unknown(name, plain)
    return Target(Model(id_, id_, MILLION if big else 200_000), False, big=big)


def _spellings(name: str) -> Iterator[str]:
    """How the catalogue may write `name`, the closest first."""
    yield name
    yield (name := _AGE.sub("", name))
    yield _DASHED.sub(r"\1.\2", name)
    yield _OLD_ORDER.sub(r"claude-\3-\1.\2", name)
    yield _ANY_DASH.sub(r"\1.\2", name)


def _unknown(name: str, plain: str) -> str:
    """Kiro's spelling of a Claude that is not listed (hidden or new), any other name as the client wrote it."""
    if not plain.startswith("claude-"):
        return name.strip()[: len(plain)]
    plain = _AGE.sub("", plain)
    return _DASHED.sub(r"\1.\2", re.sub(r"^claude-(\d+)-(\d{1,2})-", r"claude-\1.\2-", plain))

"""The catalogue that the twin publishes: the models, windows and request fields that Kiro listed in autumn 2026."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from kirogw.wire import Json

FOUR: Final = ("low", "medium", "high", "max")
FIVE: Final = ("low", "medium", "high", "xhigh", "max")

# Ids of 2025, no longer listed and still taken; with the listed model that answers.
HIDDEN: Final = {
    "CLAUDE_SONNET_4_5_20250929_V1_0": "claude-sonnet-4.5",
    "CLAUDE_SONNET_4_20250514_V1_0": "claude-sonnet-4",
    "CLAUDE_HAIKU_4_5_20251001_V1_0": "claude-haiku-4.5",
    "CLAUDE_3_7_SONNET_20250219_V1_0": "claude-sonnet-4",
    "claude-3.7-sonnet": "claude-sonnet-4",
}


def _claude(efforts: Sequence[str], default: str, longest: int,
            kinds: Sequence[str] = ("adaptive", "disabled")) -> Json:  # fmt: skip
    return _closed(
        thinking=_closed(
            type={"type": "string", "enum": list(kinds)},
            display={"type": "string", "enum": ["summarized", "omitted"]},
        ),
        output_config=_closed(effort={"type": "string", "enum": list(efforts), "default": default}),
        max_tokens={"type": "integer", "minimum": 1024, "maximum": longest},
    )


def _gpt() -> Json:
    efforts = ["none", *FIVE]
    return _closed(reasoning=_closed(effort={"type": "string", "enum": efforts, "default": "high"}))


def _closed(**properties: Any) -> Json:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _model(name: str, title: str, window: int, longest: int | None, rate: float, fields: Json | None = None, *,
           images: bool = True) -> Json:  # fmt: skip
    caching = {"supportsPromptCaching": True, "maximumCacheCheckpointsPerRequest": 4,
               "minimumTokensPerCacheCheckpoint": 1024}  # fmt: skip
    return {
        "modelId": name, "modelName": title, "description": f"{title}, as played by the twin",
        "rateMultiplier": rate, "rateUnit": "Credit",
        "tokenLimits": {"maxInputTokens": window, "maxOutputTokens": longest},
        "supportedInputTypes": ["TEXT", "IMAGE"] if images else ["TEXT"],
        "promptCaching": caching if images else None,
        "additionalModelRequestFieldsSchema": fields,
    }  # fmt: skip


def catalogue() -> list[Json]:
    """A fresh copy of all rows: modelId, title, window, longest answer, rate, request fields."""
    million = 1_000_000
    return [
        _model("auto", "Auto", million, 64_000, 1.0),
        _model("claude-opus-5.5", "Claude Opus 5.5", million, 128_000, 2.0,
               _claude(FIVE, "medium", 128_000, ["adaptive"])),
        _model("claude-opus-5", "Claude Opus 5", million, 128_000, 2.2, _claude(FIVE, "high", 128_000)),
        _model("claude-opus-4.8", "Claude Opus 4.8", million, 128_000, 2.2, _claude(FIVE, "high", 128_000)),
        _model("claude-opus-4.7", "Claude Opus 4.7", million, 128_000, 2.2, _claude(FIVE, "xhigh", 128_000)),
        _model("claude-opus-4.6", "Claude Opus 4.6", million, 64_000, 2.2, _claude(FOUR, "high", 64_000)),
        _model("claude-opus-4.5", "Claude Opus 4.5", 200_000, 64_000, 2.2),
        _model("claude-sonnet-5.5", "Claude Sonnet 5.5", million, 64_000, 1.3,
               _claude(FIVE, "high", 64_000, ["adaptive", "between_tools"])),
        _model("claude-sonnet-5", "Claude Sonnet 5", million, 64_000, 1.3, _claude(FIVE, "high", 64_000)),
        _model("claude-sonnet-4.6", "Claude Sonnet 4.6", million, 64_000, 1.3, _claude(FOUR, "high", 64_000)),
        _model("claude-sonnet-4.5", "Claude Sonnet 4.5", 200_000, 64_000, 1.3),
        _model("claude-sonnet-4", "Claude Sonnet 4", 200_000, None, 1.3),
        _model("claude-haiku-4.5", "Claude Haiku 4.5", 200_000, 64_000, 0.4),
        _model("claude-fable-5", "Claude Fable 5", million, 128_000, 3.0, _claude(FIVE, "high", 128_000)),
        _model("gpt-5.6-sol", "GPT 5.6 Sol", 272_000, 128_000, 4.4, _gpt()),
        _model("gpt-5.6-terra", "GPT 5.6 Terra", 272_000, 128_000, 2.2, _gpt()),
        _model("gpt-5.6-luna", "GPT 5.6 Luna", 272_000, 128_000, 1.1, _gpt()),
        _model("deepseek-3.2", "DeepSeek 3.2", 164_000, 64_000, 0.25, images=False),
        _model("minimax-m2.5", "MiniMax M2.5", 196_000, 64_000, 0.25, images=False),
        _model("minimax-m2.1", "MiniMax M2.1", 196_000, 64_000, 0.15, images=False),
        _model("glm-5", "GLM 5", 200_000, 64_000, 0.5, images=False),
        _model("qwen3-coder-next", "Qwen3 Coder Next", 256_000, 64_000, 0.05, images=False),
    ]  # fmt: skip

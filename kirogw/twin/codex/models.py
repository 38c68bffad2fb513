"""The catalogue that the twin publishes: what a ChatGPT plan offered in November 2026, as far as it is known.

An entry has every member without which Codex's clients fail to read the whole catalogue, and most of the others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from kirogw.wire import Json

ALL: Final = ("low", "medium", "high", "xhigh", "max", "ultra")
FIVE: Final = ALL[:5]
FOUR: Final = ALL[:4]
WORDS: Final = {
    "low": "Fast answers with little reasoning", "medium": "Enough reasoning for daily work",
    "high": "More reasoning for hard problems", "xhigh": "Much reasoning for the hardest problems",
    "max": "All the reasoning that there is", "ultra": "The most, by several agents",
}  # fmt: skip


def _model(slug: str, title: str, priority: int, efforts: Sequence[str], default: str, oldest: str, *,
           window: int = 272_000, longest: int | None = None, **more: Any) -> Json:  # fmt: skip
    return {
        "slug": slug, "display_name": title, "description": f"{title}, as played by the twin",
        "default_reasoning_level": default,
        "supported_reasoning_levels": [{"effort": effort, "description": WORDS[effort]} for effort in efforts],
        "shell_type": "unified_exec", "visibility": "list", "supported_in_api": True, "priority": priority,
        "minimal_client_version": oldest, "upgrade": None, "base_instructions": f"You are Codex, as {title}.",
        "supports_reasoning_summaries": True, "default_reasoning_summary": "none", "support_verbosity": True,
        "default_verbosity": "low", "apply_patch_tool_type": "freeform", "web_search_tool_type": "text",
        "truncation_policy": {"mode": "tokens", "limit": 10_000}, "supports_parallel_tool_calls": True,
        "context_window": window, "max_context_window": longest or window, "auto_compact_token_limit": None,
        "effective_context_window_percent": 95, "experimental_supported_tools": [],
        "input_modalities": ["text", "image"], "availability_nux": None, "service_tiers": [],
        "additional_speed_tiers": [], "use_responses_lite": False, "tool_mode": None, "prefer_websockets": True,
        "supports_search_tool": True, **more,
    }  # fmt: skip


def catalogue() -> list[Json]:
    """A fresh copy of all entries, those too that are not listed."""
    lite: Json = {"use_responses_lite": True, "tool_mode": "code_mode_only", "longest": 872_000}
    return [
        _model("gpt-6.1-sol", "GPT-6.1 Sol", 1, ALL, "low", "0.155.0", **lite),
        _model("gpt-6-astra", "GPT-6 Astra", 2, ALL, "low", "0.153.0", **lite),
        _model("gpt-6-sol", "GPT-6 Sol", 3, ALL, "medium", "0.155.0", **lite),
        _model("gpt-6-luna", "GPT-6 Luna", 4, FIVE, "medium", "0.155.0", **lite),
        _model("gpt-5.6-sol", "GPT-5.6 Sol", 5, ALL, "low", "0.144.0", **lite),
        _model("gpt-6.1-terra", "GPT-6.1 Terra", 7, ALL, "low", "0.155.0", window=500_000, **lite),
        _model("gpt-5.6-terra", "GPT-5.6 Terra", 8, ALL, "medium", "0.144.0", **lite),
        _model("gpt-5.6-luna", "GPT-5.6 Luna", 9, FIVE, "medium", "0.144.0", **lite),
        _model("gpt-5.5", "GPT-5.5", 13, FOUR, "medium", "0.124.0"),
        _model("gpt-5.3-codex-spark", "GPT-5.3 Codex Spark", 14, FOUR, "high", "0.100.0", window=128_000,
               input_modalities=["text"]),
        _model("codex-auto-review", "Codex Auto Review", 43, FIVE, "medium", "0.98.0", visibility="hide"),
        _model("gpt-reserve", "GPT Reserve", 44, FOUR, "medium", "0.98.0", visibility="hide"),
    ]  # fmt: skip


def version_of(written: Any) -> tuple[int, int, int] | None:
    """A client's version as numbers, None for what is none. A suffix such as -alpha.1 is not looked at."""
    found = re.match(r"(\d+)\.(\d+)\.(\d+)(?![\d.])", written) if isinstance(written, str) else None
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def is_new_enough(entry: Json, version: tuple[int, int, int]) -> bool:
    return version >= (version_of(entry.get("minimal_client_version")) or (0, 0, 0))

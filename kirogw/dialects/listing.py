"""What all lists of models have in common, whichever API they are written for."""

from __future__ import annotations

from typing import NamedTuple

from kirogw.dialects.provider import Model
from kirogw.wire import Json


class Listed(NamedTuple):
    """A row of a list. `model.id` is the name that clients use, `owner` the name of the provider that serves it."""

    model: Model
    owner: str


def limits(model: Model) -> Json:
    """The window and the longest answer, in tokens. Neither API has a place for them that all clients read, so each
    stands under the names by which gateways tell it: `context_window` and `max_output_tokens`; `context_length`, as
    OpenRouter; `max_model_len`, as vLLM.
    """
    return {
        "context_window": model.window, "context_length": model.window, "max_model_len": model.window,
        "max_output_tokens": model.max_output,
    }  # fmt: skip

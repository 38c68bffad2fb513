"""The list of models in Codex's own form."""

from kirogw.dialects.catalogue import INSTRUCTIONS, SAME, catalogue
from kirogw.dialects.listing import Listed
from kirogw.dialects.provider import Model

THINKS = Model("gpt-5.6-sol", "GPT 5.6 Sol", 272_000, 128_000, efforts=("low", "ultra"), effort="low", description="Deep.")
BLIND = Model("glm-5", images=False)


def test_what_is_told_of_a_model():
    first, second = catalogue([Listed(THINKS, "codex"), Listed(BLIND, "kiro")])["models"]
    assert {name: value for name, value in first.items() if name not in SAME} == {
        "slug": "gpt-5.6-sol", "display_name": "GPT 5.6 Sol", "description": "Deep.", "priority": 0,
        "base_instructions": INSTRUCTIONS, "default_reasoning_level": "low", "context_window": 272_000,
        "max_context_window": 272_000, "input_modalities": ["text", "image"],
        "supported_reasoning_levels": [{"effort": "low", "description": "Quick, with little thinking"},
                                       {"effort": "ultra", "description": "ultra"}],
    }  # fmt: skip
    assert (second["display_name"], second["description"], second["input_modalities"]) == ("glm-5", None, ["text"])
    assert (second["supported_reasoning_levels"], second["default_reasoning_level"], second["priority"]) == ([], None, 1)

"""Models, and what the rules may look at, for the tests beside this file."""

from kirogw.dialects.kiro.models import FALLBACK
from kirogw.dialects.kiro.shape import Shape, Terms
from kirogw.dialects.provider import Model, Target
from kirogw.settings import Settings

SHAPE = Shape.of(Settings())
OPUS = next(model for model in FALLBACK if model.id == "claude-opus-4.8")
HAIKU = next(model for model in FALLBACK if model.id == "claude-haiku-4.5")  # has no thinking of its own
AUTO = FALLBACK[0]
GPT = next(model for model in FALLBACK if model.id == "gpt-5.6-sol")
BLIND = Model("glm-5", images=False)
TERMS = Terms(OPUS, SHAPE)


def target(model=OPUS, **members):
    return Target(model, True, **members)

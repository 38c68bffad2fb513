"""Short words for building conversations, and what the rules may look at, for the tests beside this file."""

from kirogw.conversation import Call, Conversation, Result, Text, Tool, Turn
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
READ = Tool("read", "Reads a file", {"type": "object", "properties": {"path": {"type": "string"}}})
SCHEMA = {"type": "object", "properties": {}}


def target(model=OPUS, **members):
    return Target(model, True, **members)


def user(*parts):
    return Turn("user", tuple(Text(part) if isinstance(part, str) else part for part in parts))


def model(*parts):
    return Turn("model", tuple(Text(part) if isinstance(part, str) else part for part in parts))


def system(text):
    return Turn("system", (Text(text),))


def call(id="a", name="read", input=None, raw=None):
    return Call(id, name, {"path": "x"} if input is None else input, raw)


def result(id="a", *parts, failed=False):
    return Result(id, tuple(Text(part) if isinstance(part, str) else part for part in parts or ("done",)), failed)


def talk(*turns, **members):
    return Conversation("m", turns, **members)

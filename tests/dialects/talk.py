"""Short words for building conversations, and for reading a provider's answer."""

import pytest

from kirogw.conversation import Call, Conversation, Result, Text, Tool, Turn
from kirogw.dialects.provider import Refused

SCHEMA = {"type": "object", "properties": {}}
READ = Tool("read", "Reads a file", {"type": "object", "properties": {"path": {"type": "string"}}})


def user(*parts):
    return Turn("user", tuple(Text(part) if isinstance(part, str) else part for part in parts))


def model(*parts):
    return Turn("model", tuple(Text(part) if isinstance(part, str) else part for part in parts))


def system(text):
    return Turn("system", (Text(text),))


def call(id="a", name="read", input=None, raw=None, **members):
    return Call(id, name, {"path": "x"} if input is None else input, raw, **members)


def result(id="a", *parts, failed=False):
    return Result(id, tuple(Text(part) if isinstance(part, str) else part for part in parts or ("done",)), failed)


def talk(*turns, **members):
    return Conversation("m", turns, **members)


def heard(reader, frames, step=None):
    """All that the reader gives, fed frame by frame, or by pieces of `step` bytes."""
    if step:
        data = b"".join(frames)
        frames = [data[n : n + step] for n in range(0, len(data), step)]
    return [e for piece in frames for e in reader.receive(piece)] + reader.close()


def refusal(reader, frames):
    """What came before the failure, and its verdict. A failure that a read has met stays."""
    got = []
    with pytest.raises(Refused) as caught:
        for piece in frames:
            got += reader.receive(piece)
        got += reader.close()
    if reader._failure:
        for more in (reader.close, lambda: reader.receive(b"")):
            with pytest.raises(Refused):
                more()
    return got, caught.value.verdict

"""The columns of the grid: what is asked by a helper, and what must then be there, at the client and at the upstream.

Each is a function of how to ask and of the side that answers; it raises AssertionError.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from tests.grid.sides import Side
from tests.grid.words import Asked, Json, Results, Said, Tool, User


@dataclass(frozen=True)
class Ask:
    """How to ask by one helper. `pictures`: its API has room for a picture in a tool's result; `seals`: it can carry the
    seal of a thought back.
    """

    say: Callable[[Asked], Said]
    streamed: bool
    pictures: bool
    seals: bool

    def __call__(self, asked: Asked) -> Said:
        return self.say(asked)


SYSTEM = "You are precise, and you say so: «exactly»."
ANSWER = 'Grüße aus Zürich: 喜 🎈, "quoted", back\\slash.\nA second line, and some more words to come in pieces.'
THOUGHT = "First I weigh it; then I know."
FREE = 'let x = "raw";\n// no JSON: {喜}\n'


def _object(**properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


WEATHER = Tool("weather", "Tells the weather.", _object(city={"type": "string"}, days={"type": "integer"}))
CLOCK = Tool("clock", "Tells the time.", _object(place={"type": "string"}))
NOTE = Tool("note", "Takes a note, as free text.")


class Place(BaseModel):
    name: str
    people: int


def picture(red: int) -> str:
    """A small PNG in base64, another for each shade."""
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes((red, 20, 30)) * 8 for _ in range(8))
    head = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    whole = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return base64.b64encode(whole).decode()


def _is(what: str, got: Any, wanted: Any) -> None:
    assert got == wanted, f"{what} is {got!r}, not {wanted!r}"


def _whole(said: Said, text: str, ask: Ask, stop: str = "stop") -> None:
    _is("the text", said.text, text)
    _is("the stop", said.stop, stop)
    assert said.read > 0 and said.wrote > 0, f"usage {said.read}, {said.wrote}"
    if ask.streamed and len(text) > 60:
        assert said.deltas > 1, f"the text came in {said.deltas} pieces"


def text(ask: Ask, side: Side) -> None:
    """A system prompt and a question; then a second one, with the first answer in its history."""
    side.plays([[{"text": ANSWER, "pieces": 9}], [{"text": "And that is all."}]])
    first = ask(Asked((User("Greet me."),), SYSTEM))
    _whole(first, ANSWER, ask)
    assert SYSTEM in side.got(), "the system prompt did not arrive"
    second = ask(Asked((User("Greet me."), first, User("Is that all?")), SYSTEM))
    _whole(second, "And that is all.", ask)
    _is("what arrived of the history", [part in side.got() for part in ("Greet me.", ANSWER, "Is that all?")], [True] * 3)


def thinking(ask: Ask, side: Side) -> None:
    """The thought is told apart from the text, and where the API can carry its seal the upstream gets it back."""
    side.plays([[{"thinking": THOUGHT, "pieces": 6}, {"text": ANSWER, "pieces": 9}], [{"text": "Surely."}]])
    first = ask(Asked((User("Weigh it."),), thinking=True))
    _whole(first, ANSWER, ask)
    _is("the thought", first.thought, THOUGHT)
    second = ask(Asked((User("Weigh it."), first, User("Sure?")), thinking=True))
    _whole(second, "Surely.", ask)
    assert side.thought_came_back(THOUGHT) or not ask.seals, "the thought did not go back to the upstream"


def functions(ask: Ask, side: Side) -> None:
    """Two calls at once; their results go back, and the model reads them."""
    calls = [{"tool": "weather", "input": {"city": "Zürich «喜»", "days": 3}, "pieces": 5},
             {"tool": "clock", "input": {"place": 'a "b" \\ c'}, "pieces": 4}]  # fmt: skip
    found = {"in": "results", "find": r"(\d+) degrees", "format": "It has {} degrees.", "else": "Nobody knows."}
    side.plays([[{"text": "I look it up."}, *calls], {"round": 1, "steps": [{"text": found}]}])
    question = User("How warm is it?")
    first = ask(Asked((question,), tools=(WEATHER, CLOCK)))
    _whole(first, "I look it up.", ask, "tool_calls")
    _is("the calls", [(call.name, call.given) for call in first.calls], [(call["tool"], call["input"]) for call in calls])
    assert len({call.id for call in first.calls}) == 2, "the calls have one id"
    arrived = {name: set(schema["properties"]) for name, schema in side.tools().items()}
    _is("the tools that arrived", arrived, {"weather": {"city", "days"}, "clock": {"place"}})
    results = Results(((first.calls[0], "21 degrees, «mild»"), (first.calls[1], "noon")))
    second = ask(Asked((question, first, results), tools=(WEATHER, CLOCK)))
    _whole(second, "It has 21 degrees.", ask)


def custom(ask: Ask, side: Side) -> None:
    """A tool that takes free text gets it untouched, and its result goes back."""
    found = {"in": "results", "find": r"kept as (\w+)", "format": "Noted: {}.", "else": "Not noted."}
    step = {"tool": "note", "input": {"input": FREE}, "pieces": 5}
    side.plays([[{"text": "I note it."}, step], {"round": 1, "steps": [{"text": found}]}])
    question = User("Note it.")
    first = ask(Asked((question,), tools=(NOTE,)))
    _whole(first, "I note it.", ask, "tool_calls")
    _is("the calls", [(call.name, call.given) for call in first.calls], [("note", FREE)])
    assert "note" in side.tools(), f"the tools that arrived are {side.tools()}"
    second = ask(Asked((question, first, Results(((first.calls[0], "kept as N1"),))), tools=(NOTE,)))
    _whole(second, "Noted: N1.", ask)


def images(ask: Ask, side: Side) -> None:
    """The picture's bytes reach the upstream, those in a tool's result too where the API has room for them."""
    side.plays([[{"text": "A red one."}], [{"tool": "clock", "input": {"place": "here"}}],
                {"round": 1, "steps": [{"text": "Two pictures."}]}])  # fmt: skip
    first = ask(Asked((User("Which colour?", picture(250)),)))
    _whole(first, "A red one.", ask)
    _is("the pictures that arrived", side.pictures(), [picture(250)])
    turns = (User("Look at both.", picture(90)),)
    call = ask(Asked(turns, tools=(CLOCK,)))
    results = Results(((call.calls[0], "as seen here"),), picture(40) if ask.pictures else "")
    last = ask(Asked((*turns, call, results), tools=(CLOCK,)))
    _whole(last, "Two pictures.", ask)
    _is("the pictures that arrived", side.pictures(), [picture(90), picture(40)] if ask.pictures else [picture(90)])


def structured(ask: Ask, side: Side) -> None:
    """The answer fits the shape, and is the SDK's own value where the helper makes one."""
    place = Place(name="Zürich «喜»", people=434_335)
    side.plays([[{"text": place.model_dump_json(), "pieces": 7}]])
    said = ask(Asked((User("Name a place."),), shape=Place))
    _is("the shape", Place.model_validate_json(said.text), place)
    _is("the stop", said.stop, "stop")
    assert "people" in side.got(), "the schema did not arrive"
    assert said.parsed in (None, place), f"the SDK read {said.parsed!r}"


COLUMNS: dict[str, Callable[[Ask, Side], None]] = {
    "text": text,
    "thinking": thinking,
    "functions": functions,
    "custom tools": custom,
    "images": images,
    "structured": structured,
}

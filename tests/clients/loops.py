"""A whole agent's loop as a script of the twin, and what must be there when it is over.

The word to find is in a file that only the client can read, and each step is made from what the client sent back in the
step before: so the loop ends well only if every result travelled to the upstream and every call came back unharmed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from tests.clients.programs import Hands, Json, Place

WORD: Final = "héron-喜"
NOTE: Final = f"A note, in two lines.\nword: {WORD}\n"
ANSWER: Final = f'The word is {WORD}, as the note says: "quoted", back\\slash.\n'
PROVEN: Final = "so it is proven"
DONE: Final = f"Done: the word is {WORD}."
PROMPT: Final = "Find the word in the note, write it into an answer, and prove it."


def note(place: Place) -> Path:
    path = place.work / "note.txt"
    path.write_text(NOTE, encoding="utf-8")
    return path


def agent(hands: Hands, place: Place) -> list[Json]:
    """Read the note, write the answer, run a command over it, finish; writing is repeated until it is done."""
    answer = place.work / "answer.txt"
    found = _found(r"word: ?([^\s\"'\\<]+)", ANSWER, "There was no word.\n")
    proven = _found(r"The word is ([^\s,]+), as", DONE, "Not done.")
    read = _step(*hands.read(str(note(place))), pieces=7)
    write = _step(*hands.write(str(answer), found), pieces=[1, 2, 9])
    run = _step(*hands.run(f"cat '{answer}' | tee '{place.work}/proof.txt'; echo {PROVEN}"), pieces=3)
    return [
        {"match": PROVEN, "steps": [{"text": proven}]},
        {"match": hands.wrote, "steps": [{"thinking": "And now the proof."}, run]},
        {"round": 0, "steps": [{"thinking": "The note first."}, {"text": "I read the note."}, read]},
        {"tools": True, "repeat": True, "steps": [{"text": "Now I write the answer."}, write]},
    ]


def _found(pattern: str, text: str, otherwise: str) -> Json:
    """`text` with the word that the twin finds in the loop's results in place of ours."""
    return {"in": "results", "find": pattern, "format": text.replace(WORD, "{}"), "else": otherwise}


def _step(tool: str, arguments: Json, pieces: Any) -> Json:
    return {"tool": tool, "input": arguments, "pieces": pieces}


def assert_done(place: Place, said: str) -> None:
    """Both files are on disk with the right content, and the last word was the upstream's."""
    assert (place.work / "answer.txt").read_text(encoding="utf-8") == ANSWER
    assert (place.work / "proof.txt").read_text(encoding="utf-8") == ANSWER
    assert said == DONE

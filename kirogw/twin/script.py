"""Which answer a request gets: a script's, chosen by what the request says, so that many clients can share one script.

The format is told in the package's docstring. Everything here is a function of the request, but for answers "in order",
each of which is given once.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, TypeAlias

from kirogw.twin import tools
from kirogw.twin.ask import Ask, obj
from kirogw.wire import Json

Steps: TypeAlias = list[Json]
WORDS: Final = re.compile(r"\S+\s*|\s+")
BUILT_IN: Final = {"agent": Path(__file__).with_name("scripts") / "agent.json"}
STEPS: Final = ("text", "thinking", "redacted", "signature", "tool", "use", "usage", "stop", "credits", "context",
                "raw", "exception", "error", "end", "delay", "refusal", "search", "together")  # fmt: skip
CHOICE: Final = ("steps", "match", "round", "tools", "model", "repeat")


class Script:
    """A list of answers and how far it has been played."""

    def __init__(self, answers: Sequence[Any]) -> None:
        self.answers = [_answer(answer) for answer in answers]
        self._given: set[int] = set()
        self._lock = threading.Lock()

    def choose(self, ask: Ask) -> Steps | None:
        """The steps of the first answer that fits, with its placeholders filled; None when none does."""
        with self._lock:
            for n, answer in enumerate(self.answers):
                if n not in self._given and fits(answer, ask):
                    if not _stays(answer):
                        self._given.add(n)
                    break
            else:
                return None
        return [filled(step, ask) for step in answer["steps"]]


def load(source: Any) -> Script:
    """From the name of a built-in script, the path of a JSON file, or the JSON value itself. Raises ValueError."""
    if isinstance(source, str | Path):
        source = json.loads(Path(BUILT_IN.get(str(source), source)).read_text(encoding="utf-8"))
    if isinstance(source, dict):
        source = source.get("answers")
    if not isinstance(source, list):
        raise ValueError("a script is a list of answers, or an object with a list 'answers'")
    return Script(source)


def _answer(answer: Any) -> Json:
    answer = {"steps": answer} if isinstance(answer, list) else answer
    if not isinstance(answer, dict) or not isinstance(answer.get("steps"), list):
        raise ValueError("an answer is a list of steps, or an object with a list 'steps'")
    if strange := sorted(set(answer) - set(CHOICE)):
        raise ValueError(f"an answer has no member {', '.join(strange)}; it may have {', '.join(CHOICE)}")
    for step in answer["steps"]:
        if not isinstance(step, dict) or not set(step) & set(STEPS):
            raise ValueError(f"not a step: {json.dumps(step)[:80]}; a step has one of {', '.join(STEPS)}")
    return answer


def _stays(answer: Json) -> bool:
    """An answer that is chosen by what the request says may be given again and again."""
    return bool(answer.get("repeat", "match" in answer or "round" in answer))


def fits(answer: Json, ask: Ask) -> bool:
    """An answer that calls tools is only for a request that declares some, unless it says otherwise."""
    calls = any("tool" in step or "use" in step or "together" in step for step in answer["steps"])
    needs = answer.get("tools", "round" in answer or calls)
    match, heard = answer.get("match"), (ask.current.content, ask.asked.content, ask.current.result_text)
    return (
        (not needs or bool(ask.tools))
        and (match is None or any(match in text for text in heard))
        and answer.get("round", ask.rounds) == ask.rounds
        and answer.get("model", ask.model_id) == ask.model_id
    )


def filled(step: Json, ask: Ask) -> Json:
    """The step with its placeholders replaced and a tool "by kind" turned into a call of a declared tool."""
    step = obj(fill(step, ask))
    if "use" not in step:
        return step
    rest = {name: value for name, value in step.items() if name not in ("use", "with")}
    call = tools.call_of(step["use"], obj(step.get("with")), ask.tools)
    if call is None:
        return {**rest, "text": f"(There is no tool here to {step['use']} with.)"}
    return {**rest, "tool": call[0], "input": call[1]}


def fill(value: Any, ask: Ask) -> Any:
    """`{"find": REGEX, "in": "asked"|"results"|"current", "else": TEXT, "format": "..{}.."}` becomes the text found."""
    if isinstance(value, list):
        return [fill(item, ask) for item in value]
    if not isinstance(value, dict):
        return value
    if "find" not in value:
        return {name: fill(item, ask) for name, item in value.items()}
    places = {"asked": ask.asked.content, "results": ask.loop_results, "current": ask.current.content}
    found = list(re.finditer(value["find"], places[value.get("in", "asked")]))
    if not found:
        return value.get("else", "")
    last = found[-1]  # a folded system prompt stands before what the user says
    return value.get("format", "{}").replace("{}", last.group(1) if last.re.groups else last.group())


def cut(whole: str, how: Any = None) -> list[str]:
    """`how`: None by words, a number by that many characters, a list at those places; never an empty piece."""
    if how is None:
        return WORDS.findall(whole)
    places = range(how, len(whole), max(1, how)) if isinstance(how, int) else sorted(how)
    marks = [0, *(place for place in places if 0 < place < len(whole)), len(whole)]
    return [whole[a:b] for a, b in pairwise(marks) if a < b]

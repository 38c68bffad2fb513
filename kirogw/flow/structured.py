"""Structured output: an upstream that can not be held to a schema is checked, and asked once more if need be.

The text of the answer is held back until it is whole, since half a JSON text is none; thoughts and calls before it pass
at once. An answer that ended in calls, in a refusal or at a limit is no attempt at the format and passes as it is.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from typing import Any, Final, TypeAlias

import orjson
from jsonschema import Draft202012Validator, FormatChecker, SchemaError
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.protocols import Validator
from jsonschema.validators import extend, validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

from kirogw.answer import Beat, Event, Stop, TextDelta, Usage
from kirogw.conversation import Conversation, Text, Turn
from kirogw.errors import BadRequest, FormatMissed
from kirogw.wire import Json

Batch: TypeAlias = list[Event] | Beat
Source: TypeAlias = Generator[Batch, None, None]
Stream: TypeAlias = Callable[[Conversation], Source]

WHOLE: Final = frozenset({"end", "stop_sequence"})  # reasons after which the text should be what was asked for
QUOTED: Final = 2000  # characters of a wrong answer that the model is shown again
PATTERN_TEXT: Final = 10_000  # characters of the longest text that a pattern is tried on
STEPS: Final = 20_000_000  # of a trial, which nothing can end: about half a second
FENCE: Final = re.compile(r"```[ \t]*[\w+-]*[ \t]*\r?\n(.*?)\r?\n?[ \t]*```", re.DOTALL)
ATOM: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*+\]", re.DOTALL)  # of a pattern: an escape, a set
EXACT: Final = re.compile(r"\{\d+\}")
PARAM: Final = "schema"


class NotInFormat(Exception):
    """The text is not what was asked for: why, for the model to read. `short` says it without words of the answer."""

    def __init__(self, reason: str, short: str) -> None:
        super().__init__(reason)
        self.short = short


def structured(conversation: Conversation, stream: Stream, *, param: str = PARAM) -> Source:
    """The answer to a conversation with `format`, its text as one piece of valid JSON.

    Raises BadRequest (of the field `param`) when the schema is none, FormatMissed when the second try fails too.
    """
    check = Check(conversation.format.schema if conversation.format else None, param)
    return _answer(conversation, stream, check)


def _answer(conversation: Conversation, stream: Stream, check: Check) -> Source:
    first = _Held(0)
    with contextlib.closing(stream(conversation)) as source:
        yield from first.before_text(source)
    try:
        end = first.end(check)
    except NotInFormat as error:
        again = correction(conversation, first.text, str(error))
    else:
        yield end
        return
    second = _Held(first.next, first.usage)
    with contextlib.closing(stream(again)) as source:
        yield from second.before_text(source)
    try:
        end = second.end(check)
    except NotInFormat as error:
        raise FormatMissed(
            f"the model's answer was not in the required format twice over ({error.short}); try again, simplify the"
            " schema, or use another model"
        ) from error
    yield end


def correction(conversation: Conversation, text: str, reason: str) -> Conversation:
    """The same, with the answer that was wrong (its beginning) and a word about what is wrong with it."""
    wish = "Answer again with nothing but the corrected JSON: no explanation, no code fence."
    wrong = Turn("model", (Text(text[:QUOTED] or "(nothing)"),))
    told = Turn("user", (Text(f"That is not in the required format: {reason}. {wish}"),))
    return replace(conversation, turns=(*conversation.turns, wrong, told))


class _Held:
    """One try: what comes before its text passes with numbers from `shift` on, and the rest is kept to its end."""

    def __init__(self, shift: int, before: Usage | None = None) -> None:
        self._shift, self._before = shift, before
        self._events: list[Event] = []  # from the first text on
        self._stop = Stop("end")
        self.usage = Usage()
        self.next = shift
        self.text = ""

    def before_text(self, source: Source) -> Source:
        """What may be shown at once. A batch that is held back leaves an empty one, so that beats can be timed."""
        for batch in source:
            yield batch if isinstance(batch, Beat) else [e for event in batch if (e := self._take(event)) is not None]
        self.text = "".join(event.text for event in self._events if isinstance(event, TextDelta))

    def _take(self, event: Event) -> Event | None:
        if isinstance(event, Stop):
            self._stop = event
        elif isinstance(event, Usage):
            self.usage = event
        else:
            if self._shift:
                event = replace(event, part=event.part + self._shift)
            self.next = max(self.next, event.part + 1)
            if not self._events and not isinstance(event, TextDelta):
                return event
            self._events.append(event)
        return None

    def end(self, check: Check) -> list[Event]:
        """The rest of the answer. Raises NotInFormat."""
        usage = self.usage if self._before is None else _sum(self._before, self.usage)
        if self._stop.reason not in WHOLE:
            return [*self._events, usage, self._stop]
        text = check.text_in(self.text)
        part = next((event.part for event in self._events if isinstance(event, TextDelta)), self.next)
        others = [event for event in self._events if not isinstance(event, TextDelta)]
        return [TextDelta(part, text), *others, usage, self._stop]


def _sum(first: Usage, second: Usage) -> Usage:
    """The input is the second's: clients take it for the size of the conversation."""
    return replace(
        second, output=first.output + second.output, thinking=first.thinking + second.thinking,
        credits=first.credits + second.credits, searches=first.searches + second.searches,
    )  # fmt: skip


class Check:
    """What the text must be: any JSON object, or what fits `schema`. Raises BadRequest for a schema that is none."""

    def __init__(self, schema: Json | None, param: str = PARAM) -> None:
        self._validator = None if schema is None else _validator(schema, param)

    def text_in(self, text: str) -> str:
        """The JSON text in an answer, without what stands around it. Raises NotInFormat."""
        wrong: NotInFormat | None = None
        found = False
        for candidates in _candidates(text):
            for candidate in candidates:
                try:
                    value = orjson.loads(candidate)
                except orjson.JSONDecodeError as error:
                    wrong = wrong or NotInFormat(f"it is no JSON ({error})", "no JSON")
                    continue
                fault = self._fault(value)
                if fault is None:
                    return candidate
                wrong, found = wrong if found else fault, True
            if found:
                break  # so what stands inside it is not the answer
        raise wrong or NotInFormat("it is empty", "no JSON")

    def _fault(self, value: Any) -> NotInFormat | None:
        if self._validator is None:
            return None if isinstance(value, dict) else NotInFormat("it is no JSON object", "no JSON object")
        try:
            error: ValidationError | None = best_match(self._validator.iter_errors(value))
        except (Unresolvable, RecursionError, re.error, AttributeError, TypeError):
            return None  # a reference to nowhere, in a circle, or to what is no schema: it can not be checked
        if error is None:
            return None
        return NotInFormat(f"at {error.json_path}: {error.message[:500]}", f"at {error.json_path}: {error.validator}")


def _candidates(text: str) -> Iterator[list[str]]:
    """Where the JSON may be: all of the text, in code fences, from the first bracket to the last one."""
    yield [text.strip()]
    yield [match[1].strip() for match in FENCE.finditer(text)]
    spans = [(text.find(opening), text.rfind(closing)) for opening, closing in ("{}", "[]")]
    yield [text[start : end + 1] for start, end in sorted(spans) if 0 <= start < end]


def _validator(schema: Json, param: str) -> Validator:
    kind: Any = validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(schema, format_checker=FormatChecker(formats=()))  # a pattern may be JavaScript's
    except SchemaError as error:
        path = ".".join((param, *map(str, error.absolute_path)))
        raise BadRequest(f"is not a valid JSON Schema: {error.message[:500]}", param=path) from error
    except RecursionError as error:
        raise BadRequest("is nested too deeply", param=param) from error
    tolerant: Any = extend(kind, TOLERANT)  # type: ignore[no-untyped-call]
    validator: Validator = tolerant(schema, registry=Registry())  # an empty one: nothing is fetched for a $ref
    return validator


# Patterns, the same as in jsonschema but that JavaScript's need not be Python's, and that some take for ever


def _pattern(validator: Any, pattern: str, value: Any, schema: Json) -> Iterator[ValidationError]:
    if isinstance(value, str) and _found(pattern, value) is False:
        yield ValidationError(f"{value[:200]!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: Json, value: Any, schema: Json) -> Iterator[ValidationError]:
    for pattern, inner in patterns.items() if isinstance(value, dict) else ():
        for name, member in value.items():
            if _found(pattern, name):
                yield from validator.descend(member, inner, path=name, schema_path=pattern)


def _additional(validator: Any, wanted: Any, value: Any, schema: Json) -> Iterator[ValidationError]:
    """Members that are neither in `properties` nor, as far as can be told, meant by `patternProperties`."""
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name, member in value.items() if isinstance(value, dict) else ():
        if name in known or any(_found(pattern, name) is not False for pattern in patterns):
            continue
        if wanted is False:
            yield ValidationError(f"{name[:200]!r} is not among the properties")
        elif isinstance(wanted, dict):
            yield from validator.descend(member, wanted, path=name)


def _found(pattern: str, text: str) -> bool | None:
    """Whether the pattern is in the text; None where that can not be told in a short time, or at all."""
    try:
        return bool(re.search(pattern, text)) if len(text) <= _longest(pattern) else None
    except (re.error, RecursionError, OverflowError):
        return None


def _longest(pattern: str) -> float:
    """The characters of a text that no trial of the pattern can spend more than STEPS steps on; 0 if one may not end.

    Each repeat may begin and end anywhere, and each choice doubles the ways. In a group that is repeated they multiply.
    """
    plain = EXACT.sub("!", ATOM.sub("x", pattern))
    inner, repeats, choices = [False], 0, 0  # for each open group: can it match one text in several ways
    for n, sign in enumerate(plain):
        if sign == "(":
            inner.append(False)
        elif sign == ")" and len(inner) > 1:
            several = inner.pop()
            if several and plain[n + 1 : n + 2] in ("*", "+", "{", "!"):
                return 0
            inner[-1] |= several
        elif sign in "*+{|" or (sign == "?" and plain[n - 1 : n] != "("):
            inner[-1] = True
            repeats += sign in "*+{"
            choices += sign in "?|"
    power = repeats if plain.startswith("^") and "|" not in plain else repeats + 1
    return min(PATTERN_TEXT, math.pow(STEPS / (1 << min(choices, 64)), 1 / max(power, 1)))


TOLERANT: Final = {
    "pattern": _pattern, "patternProperties": _pattern_properties, "additionalProperties": _additional,
}  # fmt: skip

"""What the model says and thinks, item by item: each gives its pieces as they come, and at the end what is missing."""

from __future__ import annotations

from typing import Any

from kirogw.answer import Citation, TextDelta, TextPhase, ThoughtDelta, ThoughtSeal
from kirogw.dialects.codex.heard import Flow, Item, Out, number, objects, rest_of, string
from kirogw.dialects.seals import seal
from kirogw.wire import Json


class Message(Item):
    """Texts, perhaps with a phase, and refusals. Those are kept for the end: clients hear them there."""

    def __init__(self, item: Json, out: Out) -> None:
        super().__init__(item, out)
        self._phase = string(item, "phase")
        self._texts: dict[int, tuple[int, list[str]]] = {}  # by their index: our part, and the pieces
        self._refused: dict[int, list[str]] = {}
        self._cited = False

    def flow(self, event: Json) -> Flow | None:
        part, given = self._texts.get(number(event, "content_index"), (-1, []))
        if part != self.out.part or "refusal" in event["type"]:
            return None
        return Flow(event, "content_index", part, TextDelta, given, self.out.texts)

    def delta(self, event: Json, text: str) -> None:
        content = number(event, "content_index")
        if "refusal" in event["type"]:
            self._refuse(content, text)
        else:
            self._say(content, text)

    def whole(self, event: Json, text: str) -> None:
        content = number(event, "content_index")
        if "refusal" in event["type"]:
            self._refuse(content, rest_of(self._refused.get(content, []), text) or "")
            return
        _, given = self._texts.get(content, (-1, []))
        self._say(content, rest_of(given, text) or "")

    def _say(self, content: int, text: str) -> None:
        if not text:
            return
        part, given = self._texts.get(content, (-1, []))
        if part < 0 or part != self.out.part:
            part = self.out.take()
            self._texts[content] = part, given
            if self._phase:
                self.out.events.append(TextPhase(part, self._phase))
        given.append(text)
        self.out.texts.append(text)
        self.out.events.append(TextDelta(part, text))

    def _refuse(self, content: int, text: str) -> None:
        if text:
            self._refused.setdefault(content, []).append(text)
            self.out.refusals.append(text)
            self.out.spoke = True

    def cited(self, content: int, annotation: Any) -> None:
        """A page. A citation of a text that is closed already has no place any more; other kinds of annotations are
        about files that nobody sees.
        """
        part, _ = self._texts.get(content, (-1, []))
        if part < 0 or part != self.out.part or annotation.__class__ is not dict:
            return
        if annotation.get("type") == "url_citation":
            self._cited = True
            start, end = number(annotation, "start_index"), number(annotation, "end_index")
            url, title = string(annotation, "url"), string(annotation, "title")
            self.out.events.append(Citation(part, url, title, start, end))

    def done(self, item: Json) -> None:
        self._phase = self._phase or string(item, "phase")
        announced = self._cited
        for content, part in enumerate(objects(item, "content")):
            event = {"type": string(part, "type"), "content_index": content}
            self.whole(event, string(part, "refusal") or string(part, "text"))
            for annotation in () if announced else objects(part, "annotations"):
                self.cited(content, annotation)


class Reasoning(Item):
    """A thought: its summary, or the thinking itself where that is told; then its seal."""

    def __init__(self, item: Json, out: Out) -> None:
        super().__init__(item, out)
        self._kind = ""  # summary or text: which of the two is given, the other says the same again
        self._given: dict[int, list[str]] = {}
        self._part = -1

    def flow(self, event: Json) -> Flow | None:
        place = self._place(event)
        if place is None or self._part < 0 or self._part != self.out.part:
            return None
        name = "summary_index" if place[0] == "summary" else "content_index"
        return Flow(event, name, self._part, ThoughtDelta, self._given[place[1]], self.out.thoughts)

    def delta(self, event: Json, text: str) -> None:
        if place := self._place(event):
            self._think(*place, text)

    def whole(self, event: Json, text: str) -> None:
        if place := self._place(event):
            self._think(*place, rest_of(self._given.get(place[1], []), text) or "")

    def _place(self, event: Json) -> tuple[str, int] | None:
        kind = "summary" if "summary" in event["type"] else "text"
        if self._kind not in ("", kind):
            return None
        return kind, number(event, "summary_index" if kind == "summary" else "content_index")

    def _think(self, kind: str, index: int, text: str) -> None:
        if not text:
            return
        if self._given and index not in self._given:
            text, shown = f"\n\n{text}", text
        else:
            shown = text
        self._kind = kind
        self._given.setdefault(index, []).append(shown)
        part = self._mine()
        self.out.thoughts.append(text)
        self.out.events.append(ThoughtDelta(part, text))

    def _mine(self) -> int:
        if self._part < 0 or self._part != self.out.part:
            self._part = self.out.take()
        return self._part

    def done(self, item: Json) -> None:
        for kind, name, type_ in (("summary", "summary", "reasoning_summary"), ("text", "content", "reasoning_text")):
            if self._kind in ("", kind):
                for index, part in enumerate(objects(item, name)):
                    event = {"type": type_, "summary_index": index, "content_index": index}
                    self.whole(event, string(part, "text"))
        if sealed := string(item, "encrypted_content"):
            self.out.events.append(ThoughtSeal(self._mine(), seal("c", self.out.model, sealed, self.out.mark)))

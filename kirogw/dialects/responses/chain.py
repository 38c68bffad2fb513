"""Answers that go on from earlier ones: what is kept of a request, and how the next one gets it back.

An answer that is kept has its response object, the items that came with its request, and the id of the one before it.
An item's id holds the id of the answer that it belongs to, so whoever refers to an item names the answer too:
`msg_ANSWER0` is the first item of an answer, `msg_ANSWERi0` the first one of its input.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kirogw.errors import BadRequest
from kirogw.wire import Json

PREFIX: Final = "resp_"
ID: Final = re.compile(r"resp_([A-Za-z0-9]{24})")
ITEM_ID: Final = re.compile(r"[a-z]{1,16}_([A-Za-z0-9]{24})i?[0-9]{1,6}")
PREFIXES: Final = {
    "message": "msg", "reasoning": "rs", "function_call": "fc", "function_call_output": "fco",
    "custom_tool_call": "ctc", "custom_tool_call_output": "ctco", "local_shell_call": "lsh",
    "local_shell_call_output": "lsho", "web_search_call": "ws", "tool_search_call": "tsc", "tool_search_output": "tso",
}  # fmt: skip
ENCRYPTED: Final = "reasoning.encrypted_content"
PLACE: Final = re.compile(r"input\.([0-9]+)(?=\.|$)")
PAGE: Final = 20
LONGEST_PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Turn:
    """What is kept of one answer. `response` is its object, `input` the items of its own request, `before` the id of
    the answer that it goes on from, "" for none.
    """

    response: Json
    input: list[Json]
    before: str = ""

    @property
    def items(self) -> list[Json]:
        return [*self.input, *self.response.get("output", ())]


def own(body: Json, answer: str) -> list[Json]:
    """The input of a request as items with ids; `answer` is the id of what it will be answered with, without prefix.

    What is no list of objects is for the reader of the request to refuse.
    """
    given: Any = body.get("input")
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if not isinstance(given, list):
        return []
    return [_item(item, f"{answer}i{n}") for n, item in enumerate(given) if isinstance(item, dict)]


def _item(item: Json, id: str) -> Json:
    if is_reference(item):
        return item
    kind = item.get("type") or "message"
    made = {**item, "type": kind, "id": item.get("id") or f"{PREFIXES.get(str(kind), 'item')}_{id}"}
    if kind == "message":
        if isinstance(text := made.get("content"), str):
            made["content"] = [_output(text) if made.get("role") == "assistant" else _input(text)]
        made.setdefault("status", "completed")
    return made


def _input(text: str) -> Json:
    return {"type": "input_text", "text": text}


def _output(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": []}


def is_reference(item: Any) -> bool:
    """Clients may leave out its type."""
    if not isinstance(item, dict):
        return False
    bare = item.get("type") is None and "role" not in item and "content" not in item
    return isinstance(item.get("id"), str) and (item.get("type") == "item_reference" or bare)


def references(items: Any) -> list[str]:
    """The ids of the items that are only named."""
    return [item["id"] for item in items if is_reference(item)] if isinstance(items, list) else []


def answer_of(item: str) -> str:
    """The id of the answer that the item with this id belongs to, "" when it is none of ours."""
    found = ITEM_ID.fullmatch(item)
    return PREFIX + found[1] if found else ""


def resolved(items: Iterable[Json], known: Mapping[str, Json]) -> list[Json]:
    """With those items in the place of references that `known` has, by id."""
    return [known.get(item["id"], item) if is_reference(item) else item for item in items]


def spliced(body: Json, before: Sequence[Json], known: Mapping[str, Json]) -> Json:
    """`body` with all that it goes on from in its input, and no references to what is `known`."""
    given: Any = body.get("input")
    if isinstance(given, str):
        given = [{"type": "message", "role": "user", "content": given}]
    if not isinstance(given, list | None):
        return body  # for the reader to refuse
    return {**body, "input": [*before, *resolved(given or (), known)]}


def placed(param: str, before: int) -> str:
    """A path in a spliced body as the client knows it; `before` items came from earlier answers."""
    found = PLACE.match(param)
    if not found:
        return param
    n = int(found[1]) - before
    return f"input.{n}{param[found.end() :]}" if n >= 0 else "previous_response_id"


# for those who ask for what is kept

def shown(response: Json, include: Sequence[str]) -> Json:
    return {**response, "output": [shown_item(item, include) for item in response.get("output", ())]}


def shown_item(item: Json, include: Sequence[str]) -> Json:
    """Encrypted reasoning is given only to those who ask for it."""
    if item.get("type") == "reasoning" and item.get("encrypted_content") and ENCRYPTED not in include:
        return {**item, "encrypted_content": None}
    return item


def page(items: Sequence[Json], after: str = "", limit: int = PAGE, order: str = "desc") -> Json:
    """Raises BadRequest when there is no item `after`."""
    ordered = list(items) if order == "asc" else list(reversed(items))
    if after:
        place = next((n for n, item in enumerate(ordered) if item.get("id") == after), None)
        if place is None:
            raise BadRequest(f"no item of this response has the id {after[:80]!r}", param="after")
        ordered = ordered[place + 1 :]
    data = ordered[:limit]
    ends = [data[0]["id"], data[-1]["id"]] if data else ["", ""]
    return {"object": "list", "data": data, "first_id": ends[0], "last_id": ends[1], "has_more": len(ordered) > limit}

"""The server tool `web_search`, by the upstream's own search (kiro 7.5).

When the search is all that is asked for, it is done without the model. Else the model gets an ordinary function for it;
its calls of that function are not shown to the client as calls: they are run, their results are shown, and the model is
asked again with them, until it answers or calls one of the client's own tools.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol, TypeAlias
from urllib.parse import urlsplit
from uuid import uuid4

from kirogw import tokens
from kirogw.answer import (
    BEAT,
    Beat,
    CallDelta,
    CallStart,
    Event,
    HiddenThought,
    SearchCall,
    SearchResult,
    Stop,
    TextDelta,
    ThoughtDelta,
    ThoughtSeal,
    Usage,
)
from kirogw.conversation import Call, Choice, Conversation, Part, Result, Search, Text, Thought, Tool, Turn
from kirogw.dialects import clean
from kirogw.errors import Busy, GatewayError
from kirogw.stream import Source
from kirogw.wire import Json

PREFIX: Final = "Perform a web search for the query: "  # Claude Code's words around the query
QUERY: Final = 500  # characters; what is longer is a question for the model to make a query of
LONGEST: Final = 2000  # characters of a query; no search takes more
ROUNDS: Final = 12  # of the model in one answer
NAMES: Final = ("web_search", "search_the_web")
DESCRIPTION: Final = (
    "Searches the web and gives the titles, addresses and excerpts of the pages that fit best. Use it for what is"
    " recent or what you are not sure of, with one short query at a time, and name the pages that you rely on."
)
SCHEMA: Final[Json] = {
    "type": "object",
    "properties": {"query": {"type": "string", "description": "What to search for, as one would type it."}},
    "required": ["query"],
}
NO_MORE: Final = "No more searches are allowed in this answer. Answer with what you have."

Batch: TypeAlias = list[Event] | Beat
Stream: TypeAlias = Callable[[Conversation], Source]


class Found(Protocol):
    """`results`: objects with title, url, snippet, perhaps page_age. `error`: a code when the search failed."""

    @property
    def results(self) -> list[Json]: ...

    @property
    def error(self) -> str: ...


Find: TypeAlias = Callable[[str], Found]
"""Searches for a query; may take a minute. Raises GatewayError."""


def side_request(conversation: Conversation) -> str | None:
    """The query, if the search is all that is asked for, and what the user said is short enough to be it."""
    if not conversation.search or not conversation.search.forced or conversation.tools:
        return None
    said = next((turn for turn in reversed(conversation.turns) if turn.role == "user"), None)
    texts = [part.text for part in said.parts if isinstance(part, Text)] if said else []
    query = "\n".join(texts).strip().removeprefix(PREFIX).strip()
    return query if query and len(query) <= QUERY else None


def without(conversation: Conversation) -> Conversation:
    """Where there is no search: the server tool is left out, the model is told so, and need not use it."""
    choice = conversation.choice
    if choice.mode == "named" and all(tool.name != choice.name for tool in conversation.tools):
        choice = Choice(parallel=choice.parallel)
    return replace(conversation, search=None, choice=choice, left_out=(*conversation.left_out, NAMES[0]))


def searching(conversation: Conversation, stream: Stream, find: Find, *, beat: float = 10.0) -> Source:
    """The answer to a conversation with `search`. `stream` asks the model; `beat` is the longest silence in seconds."""
    searcher = _Searcher(conversation.search or Search(), find, beat)
    query = side_request(conversation)
    if query is not None:
        return _side_answer(conversation, query, searcher)
    return _answer(conversation, stream, searcher)


def _side_answer(conversation: Conversation, query: str, searcher: _Searcher) -> Source:
    """The snippets are in the text too: of all that is sent here, only that comes back with the next turn."""
    results = yield from searcher.run(query, 0)
    text = _told(results)
    usage = Usage(tokens.count_conversation(conversation), tokens.count(text), searches=searcher.done)
    yield [TextDelta(2, text), usage, Stop("end")]


def _answer(conversation: Conversation, stream: Stream, searcher: _Searcher) -> Source:
    name = _free_name(conversation)
    asked, total, part = _declared(conversation, name), Usage(), 0
    for _ in range(ROUNDS):
        said = _Said(name, part)
        with contextlib.closing(stream(asked)) as source:
            for batch in source:
                yield batch if isinstance(batch, Beat) else said.take(batch)
        results, part = [], said.last + 1
        for call in said.searches if said.stop.reason == "calls" else []:
            found = yield from searcher.run(_query(call), part)
            results.append(Result(call.id, (Text(_told(found)),), bool(found.error)))
            part += 2
        total = _sum(total, said.usage, searcher.done)
        if not results or said.calls:
            yield [total, said.stop]
            return
        asked = _continued(asked, said, results)
    yield [total, Stop("pause")]


class _Searcher:
    """Runs searches within what the client allows. `done` counts those that gave results, or none for good reason."""

    def __init__(self, terms: Search, find: Find, beat: float) -> None:
        self._terms, self._find, self._beat = terms, find, beat
        self._used = 0
        self.done = 0

    def run(self, query: str, part: int) -> Generator[Batch, None, SearchResult]:
        """One search: its two events, as the parts `part` and the next, and beats while it takes its time."""
        id_, query = f"srvtoolu_{uuid4().hex[:24]}", clean.text(query)
        yield [SearchCall(part, id_, query)]
        error = self._objection(query)
        results: list[Json] = []
        if not error:
            self._used += 1
            found = yield from self._waited(query)
            error, results = found.error, [row for row in found.results if _allowed(row, self._terms)]
            self.done += not error
        result = SearchResult(part + 1, id_, results, error)
        yield [result]
        return result

    def _objection(self, query: str) -> str:
        if not query:
            return "invalid_tool_input"
        if self._terms.max_uses is not None and self._used >= self._terms.max_uses:
            return "max_uses_exceeded"
        return "query_too_long" if len(query) > LONGEST else ""

    def _waited(self, query: str) -> Generator[Batch, None, Found]:
        """What was found. In a thread, since a search is silent for up to a minute, and the client must hear beats."""
        future: Future[Found] = Future()
        threading.Thread(target=self._run, args=(query, future), daemon=True).start()
        while True:
            try:
                return future.result(self._beat)
            except TimeoutError as error:
                if future.done() and future.exception() is error:  # then it is the search's own
                    return _Failed("unavailable")
                yield BEAT

    def _run(self, query: str, future: Future[Found]) -> None:
        try:
            future.set_result(self._find(query))
        except Busy:
            future.set_result(_Failed("too_many_requests"))
        except GatewayError:
            future.set_result(_Failed("unavailable"))
        except BaseException as error:  # a fault of ours: raised where the answer is made, not lost with the thread
            future.set_exception(error)


@dataclass(frozen=True, slots=True)
class _Failed:
    error: str
    results: list[Json] = field(default_factory=list)


def _allowed(row: Json, terms: Search) -> bool:
    url = str(row.get("url", ""))
    if terms.allowed_domains and not any(_lies_in(url, domain) for domain in terms.allowed_domains):
        return False
    return not any(_lies_in(url, domain) for domain in terms.blocked_domains)


def _lies_in(url: str, domain: str) -> bool:
    """`example.com` holds its subdomains too; `example.com/docs` what lies below that path."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").removeprefix("www.")
    except ValueError:
        return False
    name, _, path = domain.strip().lower().split("://")[-1].partition("/")
    name = name.removeprefix("www.").removeprefix("*.")
    below = f"{parts.path.lower().rstrip('/')}/".startswith(f"/{path}".rstrip("/") + "/")
    return below and (host == name or host.endswith(f".{name}"))


def _told(result: SearchResult) -> str:
    """The results in words, with all that was found."""
    if result.error:
        return NO_MORE if result.error == "max_uses_exceeded" else f"The web search failed: {result.error}."
    if not result.results:
        return "The web search found nothing."
    pages = (_page(n, row) for n, row in enumerate(result.results, 1))
    return "\n\n".join(("Web search results:", *pages))


def _page(number: int, row: Json) -> str:
    age = f" ({row['page_age']})" if row.get("page_age") else ""
    return f"{number}. {row.get('title', '')}{age}\n{row.get('url', '')}\n{row.get('snippet', '')}".rstrip()


# The function that the model calls


def _free_name(conversation: Conversation) -> str:
    """A name that no tool of the client's has: a function of its own called web_search is nobody's business."""
    taken = {tool.name for tool in conversation.tools}
    taken |= {part.name for turn in conversation.turns for part in turn.parts if isinstance(part, Call)}
    names = (*NAMES, *(f"{NAMES[1]}_{n}" for n in range(2, len(taken) + 3)))
    return next(name for name in names if name not in taken)


def _declared(conversation: Conversation, name: str) -> Conversation:
    """The conversation with the function, and with what was said of the server tool said of it."""
    choice = conversation.choice
    if choice.mode == "none":
        return replace(conversation, search=None)
    own = any(tool.name == "web_search" for tool in conversation.tools)
    if choice.mode == "named" and choice.name == "web_search" and not own:
        choice = replace(choice, name=name)
    if conversation.search and conversation.search.forced:
        choice = Choice("named", name, choice.parallel)
    if choice.allowed:
        choice = replace(choice, allowed=(*choice.allowed, name))
    tools = (*conversation.tools, Tool(name, DESCRIPTION, SCHEMA))
    return replace(conversation, tools=tools, choice=choice, search=None)


def _query(call: Call) -> str:
    query = call.input.get("query")
    return query.strip() if isinstance(query, str) else ""


class _Said:
    """One round of the model: what goes on to the client, and what is kept for the next round."""

    def __init__(self, name: str, first: int) -> None:
        self._name, self._shift = name, first
        self._parts: dict[int, list[Any]] = {}  # number: events of one part, as the model gave them
        self._hidden: dict[int, list[str]] = {}  # number of a call of the search: its arguments
        self._ids: dict[int, str] = {}
        self.calls = False  # has it called one of the client's tools
        self.last = first - 1
        self.stop = Stop("end")
        self.usage = Usage()

    def take(self, events: list[Event]) -> list[Event]:
        """The events for the client, which are all but the calls of the search and the end."""
        return [shown for event in events if (shown := self._one(event)) is not None]

    def _one(self, event: Event) -> Event | None:
        if isinstance(event, Stop):
            self.stop = event
            return None
        if isinstance(event, Usage):
            self.usage = event
            return None
        if isinstance(event, CallStart):
            if event.name == self._name:
                self._hidden[event.part], self._ids[event.part] = [], event.id
                return None
            self.calls = True
        if isinstance(event, CallDelta) and event.part in self._hidden:
            self._hidden[event.part].append(event.json)
            return None
        self._parts.setdefault(event.part, []).append(event)
        if self._shift:
            event = replace(event, part=event.part + self._shift)
        self.last = max(self.last, event.part)
        return event

    @property
    def searches(self) -> list[Call]:
        return [self._call(part) for part in sorted(self._hidden)]

    def turn(self) -> Turn:
        """What the model said, as a turn of the conversation; complete only when it called no tool of the client's."""
        parts: list[Part] = []
        for number in sorted({*self._parts, *self._hidden}):
            parts += [self._call(number)] if number in self._hidden else _part(self._parts[number])
        return Turn("model", tuple(parts))

    def _call(self, part: int) -> Call:
        text = "".join(self._hidden[part])
        try:
            given = json.loads(text or "{}")
        except ValueError:
            given = None
        return Call(self._ids[part], self._name, given if isinstance(given, dict) else {})


def _part(events: Sequence[Any]) -> list[Part]:
    text = "".join(event.text for event in events if isinstance(event, TextDelta | ThoughtDelta))
    seal = "".join(event.seal for event in events if isinstance(event, ThoughtSeal | HiddenThought))
    if isinstance(events[0], TextDelta):
        return [Text(text)] if text else []
    return [Thought(text, seal, hidden=isinstance(events[0], HiddenThought))]


def _continued(asked: Conversation, said: _Said, results: list[Result]) -> Conversation:
    """The same, with what the model said and what was found. It searched, so it need not any more."""
    turns = (*asked.turns, said.turn(), Turn("user", tuple(results)))
    forced = asked.choice.mode in ("any", "named")
    choice = replace(asked.choice, mode="auto", name="") if forced else asked.choice
    return replace(asked, turns=turns, choice=choice)


def _sum(total: Usage, last: Usage, searches: int) -> Usage:
    """Output and price add up; the input is the last round's, for clients take it for the size of the conversation."""
    return replace(
        last, output=total.output + last.output, thinking=total.thinking + last.thinking,
        credits=total.credits + last.credits, searches=searches,
    )  # fmt: skip

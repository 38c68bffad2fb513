"""One answer of the Responses API: what its request goes on from, how it can be cancelled, and where it is kept."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Final, Protocol, cast

from kirogw.answer import Answer
from kirogw.dialects import responses
from kirogw.dialects.face import Ask, Face, Heading, Writer
from kirogw.dialects.fields import may
from kirogw.dialects.responses import chain
from kirogw.errors import BadRequest, Cancelled, GatewayError
from kirogw.logins.named import Caller
from kirogw.stream import Source
from kirogw.web.state import State
from kirogw.wire import Json

MAIN: Final = "main"


class Telling(Writer, Protocol):
    """A writer that can tell its answer as an object, as far as it has come."""

    def response(self) -> Json: ...


def owner_of(caller: Caller) -> str:
    """Whose answers those of `caller` are; the owner's two keys have no id."""
    return caller.id or MAIN


class Passing:
    """An answer that is not kept, in any face."""

    __slots__ = ("_body",)

    def __init__(self, here: State, caller: Caller, body: Json, id: str) -> None:
        self._body = body

    def body(self) -> Json:
        """What the face reads, once: it may be large, and the answer takes long."""
        body, self._body = self._body, {}
        return body

    def placed(self) -> contextlib.AbstractContextManager[None]:
        """Around what may find a fault in `body`."""
        return contextlib.nullcontext()

    def writer(self, writer: Writer) -> Writer:
        return writer

    def watched(self, source: Source) -> Source:
        return source

    def whole(self, face: Face, answer: Answer, heading: Heading, ask: Ask) -> Json:
        return face.whole(answer, heading, ask)

    def left(self) -> None:
        """The client has gone, or the answer has ended."""


class Keeping(Passing):
    """Its `body` has all that the request goes on from in its place. `id` is the answer's, without prefix. Making one
    raises NotKept, TooLong, NotFound or StoreAway.
    """

    def __init__(self, here: State, caller: Caller, body: Json, id: str) -> None:
        self.owner, self._id = owner_of(caller), chain.PREFIX + id
        self._kept, self._underway = here.kept, here.underway
        self._before = may(body, "previous_response_id", str, "")
        self._stores = here.kept.keeps and body.get("store") is not False
        self._input = chain.own(body, id) if self._stores else []
        self._earlier = 0
        self._body = self._complete(body if self._stores else {**body, "store": False})
        self._writer: Telling | None = None
        self._lock = threading.Lock()
        self._ended = self._cancelled = False

    def _complete(self, body: Json) -> Json:
        named = chain.references(body.get("input"))
        if not (self._before or named):
            return body
        turns = self._kept.chain(self.owner, self._before) if self._before else []
        items = self._kept.context(self.owner, turns)
        self._earlier = len(items)
        return chain.spliced(body, items, self._kept.items(self.owner, named, items))

    @contextlib.contextmanager
    def placed(self) -> Iterator[None]:
        """A fault in the input is told by its place in what the client has sent."""
        try:
            yield
        except BadRequest as error:
            error.param = chain.placed(error.param, self._earlier)
            raise

    def whole(self, face: Face, answer: Answer, heading: Heading, ask: Ask) -> Json:
        if not self._stores:
            return face.whole(answer, heading, ask)
        response = responses.kept(answer, heading, ask)
        self._done(response)
        return response if ask.echo.get("seals") else chain.shown(response, ())

    # an answer that is streamed

    def writer(self, writer: Writer) -> Writer:
        """`writer`, whose answer is kept before its last bytes leave: who has read them may go on from it."""
        if not self._stores:
            return writer
        self._writer = cast(Telling, writer)
        self._underway.begin(self._id, self)
        return _Kept(self._writer, self)

    def watched(self, source: Source) -> Source:
        """`source`, until the answer is cancelled."""
        return self._until_cancelled(source) if self._stores else source

    def _until_cancelled(self, source: Source) -> Source:
        with contextlib.closing(source):
            for batch in source:
                if self._cancelled:
                    raise Cancelled("the response was cancelled")
                yield batch

    def response(self) -> Json:
        assert self._writer  # noqa: S101
        return self._writer.response()

    def told(self) -> None:
        """The writer has told the end."""
        self._done(self.response())

    def cancel(self) -> None:
        """Another request wants it to end."""
        if self._writer and self._end():
            self._cancelled = True
            self._keep({**self.response(), "status": "cancelled"})

    left = cancel

    def _done(self, response: Json) -> None:
        if self._end():
            self._keep(response)

    def _end(self) -> bool:
        """Whether this is the first end."""
        with self._lock:
            ended, self._ended = self._ended, True
        return not ended

    def _keep(self, response: Json) -> None:
        self._kept.keep(self.owner, chain.Turn(response, self._input, self._before))
        self._underway.end(self._id)


KINDS: Final[dict[str, type[Passing]]] = {"responses": Keeping}
"""What becomes of the answers of a face; those of all others pass."""


class _Kept:
    """A writer; what it has in common with the one within is that one's."""

    __slots__ = ("_keeping", "_writer", "beat", "begin", "write")

    def __init__(self, writer: Telling, keeping: Keeping) -> None:
        self._writer, self._keeping = writer, keeping
        self.begin, self.write, self.beat = writer.begin, writer.write, writer.beat

    def end(self) -> bytes:
        data = self._writer.end()
        self._keeping.told()
        return data

    def fail(self, error: GatewayError) -> bytes:
        data = self._writer.fail(error)
        self._keeping.told()
        return data

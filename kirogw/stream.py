"""One answer on its way: the upstream's bytes to events, events through filters, events to the client's bytes.

What is a generator over a source stops its source when it is stopped itself: closing the outermost one closes the
upstream. Nothing is kept: a client that reads slowly makes the whole chain wait, and what it has got is let go (`del`)
before the next is waited for, since thousands wait.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Protocol, TypeAlias

from kirogw.answer import BEAT, Beat, Event, Stop
from kirogw.dialects.face import Writer
from kirogw.dialects.provider import Reader
from kirogw.errors import GatewayError

Batch: TypeAlias = list[Event] | Beat
"""What one read brought, possibly nothing; or BEAT when there was no read for a while."""
Source: TypeAlias = Generator[Batch, None, None]
Chunks: TypeAlias = Generator[bytes, None, None]


class Silence(Exception):
    """The upstream said nothing for longer than the limit."""


class Filter(Protocol):
    """Changes the flow of events. `done`: it has ended the answer, and what the source would still say is unwanted."""

    done: bool

    def feed(self, events: list[Event]) -> list[Event]: ...


class Relay:
    """The events of each read, as they come. `read(seconds)` gives bytes, b"" at the end, None when none came in time;
    `ended()` may tell already that the next read would give b"", so that the last events go with those before them. An
    answer that is whole has ended, even if the upstream keeps the connection open.

    `done`: there is no next. No generator, because each in the chain takes 0.7 KB more of a stream that is waited for.
    """

    __slots__ = ("_beat", "_ended", "_limit", "_read", "_reader", "_silent", "done")

    def __init__(self, read: Callable[[float], bytes | None], ended: Callable[[], bool], reader: Reader, *,
                 beat: float, limit: float) -> None:  # fmt: skip
        self.done = False
        self._read, self._ended, self._reader, self._beat, self._limit = read, ended, reader, beat, limit
        self._silent = 0.0

    def next(self) -> Batch:
        """Raises Silence after `limit` seconds without bytes, and what `read` and `reader` raise."""
        data = self._read(self._beat)
        if data is None:
            self._silent += self._beat
            if self._silent >= self._limit:
                raise Silence
            return BEAT
        self._silent = 0.0
        events = self._reader.receive(data) if data else []
        self.done = not data or self._ended() or self._reader.whole
        return events + self._reader.close() if self.done else events


def filtered(source: Source, filters: Iterable[Filter]) -> Source:
    """`source` through the filters in their order; ends early when one of them is done."""
    filters = tuple(filters)
    try:
        for batch in source:
            if isinstance(batch, Beat):
                yield batch
                continue
            done = False
            for filter_ in filters:
                batch = filter_.feed(batch)
                done = done or filter_.done
            yield batch
            if done:
                return
            del batch
    finally:
        source.close()


def events(source: Source) -> Iterator[Event]:
    """The events alone: what an answer that is not streamed is collected from."""
    with contextlib.closing(source):
        for batch in source:
            if not isinstance(batch, Beat):
                yield from batch


def written(source: Source, first: Batch, writer: Writer, *, beat: float, clock: Callable[[], float],
            lost: Callable[[Exception], GatewayError], last: Callable[[], None]) -> Chunks:  # fmt: skip
    """The bytes for the client: all that one read brought in one piece. `first` was taken off `source` before.

    What ends the answer leaves with its last events. A beat is also due when events come but give the client nothing
    for `beat` seconds (they are being held back). An error is told in-band and never looks like a finished answer;
    `lost` turns any exception into what the client hears; `last` is called before the last bytes are given.
    """
    since = clock()
    try:
        yield writer.begin() + (writer.beat() if isinstance(first, Beat) else _said(writer, first, last))
        for batch in source:
            data = b"" if isinstance(batch, Beat) else _said(writer, batch, last)
            if not data and (isinstance(batch, Beat) or clock() - since >= beat):
                data = writer.beat()
            if data:
                yield data
                since = clock()
            del batch, data
    except Exception as error:
        told = writer.fail(lost(error))
        last()
        yield told
    finally:
        source.close()


def _said(writer: Writer, events: list[Event], last: Callable[[], None]) -> bytes:
    data = writer.write(events)
    if not events or type(events[-1]) is not Stop:
        return data
    last()
    return data + writer.end()

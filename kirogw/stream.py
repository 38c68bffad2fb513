"""One answer on its way: the upstream's bytes to events, events through filters, events to the client's bytes.

Everything here is a generator over a source, and stops its source when it is stopped itself: closing the outermost one
closes the upstream. Nothing is kept: a client that reads slowly makes the whole chain wait.
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


def relayed(read: Callable[[float], bytes | None], ended: Callable[[], bool], reader: Reader, *,
            beat: float, limit: float) -> Source:  # fmt: skip
    """The events of each read, as they come. `read(seconds)` gives bytes, b"" at the end, None when none came in time;
    `ended()` may tell already that the next read would give b"", so that the last events go with those before them. An
    answer that is whole has ended, even if the upstream keeps the connection open.

    Raises Silence after `limit` seconds without bytes, and what `read` and `reader` raise.
    """
    silent = 0.0
    while True:
        data = read(beat)
        if data:
            silent = 0.0
            events = reader.receive(data)
            if ended() or reader.whole:
                yield events + reader.close()
                return
            yield events
        elif data is None:
            silent += beat
            if silent >= limit:
                raise Silence
            yield BEAT
        else:
            yield reader.close()
            return


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

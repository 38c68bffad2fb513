"""Server-sent events: bytes in, the data of events out. Does no I/O.

An event is lines up to a blank one; a line ends with LF, CR or CR LF. Of its fields only `data` matters here: whoever
sends JSON says in it what it is. Comments, and events without data, are nothing.

Source: WHATWG HTML, "Server-sent events". The limit is ours: pictures and sealed thoughts make long lines.
"""

from __future__ import annotations

from typing import Final

MAX_EVENT: Final = 16 * 1024 * 1024  # bytes
_BOM: Final = b"\xef\xbb\xbf"


class DamagedStream(Exception):
    """The bytes are no stream of events any more."""


class Decoder:
    """Takes the stream in any cut and gives the data of the events that are whole; lines of one event joined by LF."""

    def __init__(self) -> None:
        self._held = bytearray()  # the beginning of an event
        self._returned = False  # a CR came last: an LF behind it belongs to it
        self._begun = False

    def receive(self, data: bytes) -> list[bytes]:
        """The data of the events completed by `data`, in order. Raises DamagedStream for one that is too long."""
        if self._returned or b"\r" in data:
            data = self._plain(data)
        held = self._held
        if held:
            start = len(held) - 1  # the blank line may begin with what is held
            held += data
            if held.find(b"\n\n", start) < 0:
                self._check()
                return []
            data = bytes(held)
            held.clear()
        *events, rest = data.split(b"\n\n")
        if rest:
            held += rest
            self._check()
        if not self._begun and events:
            self._begun = True
            events[0] = events[0].removeprefix(_BOM)
        return [found for event in events if (found := _data(event)) is not None]

    def close(self) -> list[bytes]:
        """Call when the bytes have ended: the data of the last event, where the blank line behind it is missing."""
        rest = bytes(self._held) if self._begun else bytes(self._held).removeprefix(_BOM)
        self._held.clear()
        found = _data(rest)
        return [] if found is None else [found]

    def _plain(self, data: bytes) -> bytes:
        """With LF as the only end of a line."""
        if self._returned and data:
            data = data.removeprefix(b"\n")
            self._returned = False
        self._returned = data.endswith(b"\r") or (self._returned and not data)
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _check(self) -> None:
        if len(self._held) > MAX_EVENT:
            raise DamagedStream(f"an event has more than {MAX_EVENT} bytes")


def _data(event: bytes) -> bytes | None:
    """None: the event has none. What nearly all are, a name and one line of data, is seen at a glance."""
    start = event.find(b"data:")
    if start >= 0 and (start == 0 or event[start - 1] == 10) and event.find(b"\n", start) < 0:
        return event[start + 6 :] if event[start + 5 : start + 6] == b" " else event[start + 5 :]
    lines = []
    for line in event.split(b"\n"):
        if line == b"data":
            lines.append(b"")
        elif line.startswith(b"data:"):
            lines.append(line[6:] if line[5:6] == b" " else line[5:])
    return b"\n".join(lines) if lines else None

"""The server writes an answer's head, its chunks and its end one by one, and each write wakes the client. What belongs
together is held back in the kernel and leaves as one packet. (docs/performance.md has what that saves.)
"""

from __future__ import annotations

import contextlib
import socket
from typing import Any, Final

OPTION: Final = getattr(socket, "TCP_CORK", None)  # Linux


class Cork:
    """For a client's socket; without one, or where the system has no such option, it does nothing.

    Nothing stays held: the kernel lets go by itself after 200 ms.
    """

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._held = False

    def hold(self) -> None:
        if not self._held:
            self._set(True)

    def release(self) -> None:
        if self._held:
            self._set(False)

    def _set(self, held: bool) -> None:
        self._held = held
        if self._sock is not None and OPTION is not None:
            with contextlib.suppress(OSError):  # it is no TCP socket, or closed already
                self._sock.setsockopt(socket.IPPROTO_TCP, OPTION, int(held))

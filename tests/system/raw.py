"""HTTP/1.1 by hand, so that a test sees what a client library hides: when each chunk came, and what stands in it."""

import json
import socket
import time
from urllib.parse import urlsplit

from tests.system.running import KEY

JSON = {"content-type": "application/json"}


class Connection:
    """One connection to a gateway. A context manager; `close` leaves without a word, as a client that is killed."""

    def __init__(self, url, receive_buffer=0, timeout=100):
        address = urlsplit(url)
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect((address.hostname, address.port))
        self._buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, method, path, body=b"", headers=None, key=KEY):
        """One request, whole. A body that is no bytes is sent as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", "host: gateway", f"content-length: {len(data)}"]
        lines += [f"authorization: Bearer {key}"] if key else []
        lines += [f"{name}: {value}" for name, value in {**JSON, **(headers or {})}.items()]
        self.socket.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + data)

    def head(self):
        """The status and the headers, in lower case."""
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return int(first.split()[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}

    def chunks(self):
        """The chunks of a chunked body, each as it came, until the end mark. Raises EOFError when that is missing."""
        while True:
            size = int(self._line(), 16)
            data = self._exactly(size + 2)[:-2]
            if not size:
                return
            yield data

    def body(self, headers):
        if headers.get("transfer-encoding") == "chunked":
            return b"".join(self.chunks())
        return self._exactly(int(headers["content-length"]))

    def whole(self, hear=None):
        """All of a chunked body; at each chunk `hear` is told all of it so far."""
        data = b""
        for chunk in self.chunks():
            data += chunk
            if hear:
                hear(data)
        return data

    def answer(self):
        """The next answer whole: status, headers, body."""
        status, headers = self.head()
        return status, headers, self.body(headers)

    def silent(self, seconds):
        """Whether nothing comes for so long."""
        before = self.socket.gettimeout()
        self.socket.settimeout(seconds)
        try:
            self._more()
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(before)
        return False

    def closed(self):
        """Whether the peer closes the connection now, without another byte."""
        try:
            return not self._buffer and not self.socket.recv(1)
        except ConnectionResetError:
            return True

    def _line(self):
        while b"\r\n" not in self._buffer:
            self._more()
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def _exactly(self, size):
        while len(self._buffer) < size:
            self._more()
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def _more(self):
        data = self.socket.recv(65536)
        if not data:
            raise EOFError("the peer closed the connection")
        self._buffer += data


def eventually(true, seconds=60.0, pause=0.01):
    """Wait until `true()` is so; its last value."""
    deadline = time.monotonic() + seconds
    while not (value := true()) and time.monotonic() < deadline:
        time.sleep(pause)
    return value


def shortest(attempt, seconds, tries=5):
    """How many seconds `attempt()` says that it took, when that is at most `seconds`; else the least of some tries: what a
    busy machine adds, it does not add each time.
    """
    took = []
    while not took or (took[-1] > seconds and len(took) < tries):
        took.append(attempt())
    return min(took)

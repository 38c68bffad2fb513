"""Small servers on the loopback for tests: each runs one function per connection."""

import contextlib
import socket
import ssl
import threading


@contextlib.contextmanager
def server(handle, tls=None):
    """Serve `handle(connection)` on a free port; yields the port. Failures of a handler end its connection only."""
    listener = socket.create_server(("127.0.0.1", 0))
    open_ = []

    def serve(connection):
        with contextlib.suppress(OSError, ssl.SSLError), connection:
            handle(tls.wrap_socket(connection, server_side=True) if tls else connection)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                open_.append(connection)
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield listener.getsockname()[1]
    finally:
        # an accept that still waits would go on with the file number of the next server, and answer for it
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join(60)
        listener.close()
        for connection in open_:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


def read_head(connection):
    """The bytes up to the blank line, and what came behind it."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            raise OSError("the peer left")
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def read_request(connection):
    head, body = read_head(connection)
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    while len(body) < length:
        more = connection.recv(65536)
        if not more:
            raise OSError("the peer left")
        body += more
    return head, body


def pump(one, other):
    """Copy bytes both ways until one side ends."""

    def copy(a, b):
        with contextlib.suppress(OSError):
            while data := a.recv(65536):
                b.sendall(data)
        for end in (a, b):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    thread = threading.Thread(target=copy, args=(other, one), daemon=True)
    thread.start()
    copy(one, other)
    thread.join(60)

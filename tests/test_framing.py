"""A request as its environment, and an answer on the wire: what gunicorn's own way gives, byte for byte."""

import io

import pytest
from gunicorn.config import Config
from gunicorn.http import RequestParser
from gunicorn.http.wsgi import Response, create
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.framing import Answer, Framing

PEER, SERVER, DATE = ("127.0.0.1", 40_000), ("127.0.0.1", 8000), "Sun, 22 Nov 2026 00:00:00 GMT"
GUNICORNS = {"wsgi.errors", "wsgi.file_wrapper", "wsgi.early_hints", "wsgi.multithread", "SERVER_SOFTWARE", "wsgi.input"}
"""Of its environment only: what nobody here asks for, what holds an object of its own, and what each worker sets."""
NAMES = st.sampled_from(["Accept", "X-Api-Key", "X-Forwarded-For", "User-Agent", "Content-Type", "Connection"])
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f"), min_size=1, max_size=12)
PATHS = st.lists(st.sampled_from(["a", "/", "%20", "%C3%A9", "%2F", "?", "=", "&", ";", "."]), max_size=12).map(lambda some: "/" + "".join(some))
SOME = settings(max_examples=200, deadline=None)


class Wire:
    """A socket that takes `most` bytes at a time."""

    def __init__(self, data=b"", most=1 << 20):
        self._in, self._most = io.BytesIO(data), most
        self.out, self.packets = b"", 0

    def recv(self, size):
        return self._in.read(size)

    def send(self, data):
        self.packets += 1
        self.out += bytes(data[: self._most])
        return min(len(data), self._most)

    def sendall(self, data):
        self.packets += 1
        self.out += bytes(data)

    def gettimeout(self):
        return None

    settimeout = gettimeout


def parsed(data):
    wire = Wire(data)
    return next(RequestParser(Config(), wire, PEER)), wire


def head(method="GET", path="/", version="1.1", headers=()):
    lines = [f"{method} {path} HTTP/{version}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def environ(request, wire):
    return Framing(multiprocess=False).environ(request, wire, PEER, SERVER)


@given(method=st.sampled_from(["GET", "POST", "HEAD", "DELETE"]), path=PATHS, version=st.sampled_from(["1.0", "1.1"]),
       headers=st.lists(st.tuples(NAMES, VALUES), max_size=6, unique_by=lambda one: one[0] if one[0] == "Content-Type" else one))
@SOME
def test_the_environment_is_gunicorns(method, path, version, headers):
    data = head(method, path, version, [("Host", "gateway:8000"), *headers])
    request, wire = parsed(data)
    wanted = create(request, wire, PEER, SERVER, request.cfg)[1]
    found = environ(request, wire)
    assert {name: value for name, value in wanted.items() if name not in GUNICORNS} == {
        name: value for name, value in found.items() if name not in GUNICORNS}  # fmt: skip
    assert found["wsgi.input"] is request.body


def answered(answer, status, headers, chunks):
    answer.start_response(status, headers)
    for chunk in chunks:
        answer.write(chunk)
    answer.close()


@given(method=st.sampled_from(["GET", "POST", "HEAD"]), version=st.sampled_from(["1.0", "1.1"]), whole=st.booleans(),
       connection=st.sampled_from(["", "close", "keep-alive"]), status=st.sampled_from(["200 OK", "404 NOT FOUND", "204 NO CONTENT"]),
       headers=st.lists(st.tuples(NAMES, VALUES), max_size=3), chunks=st.lists(st.binary(max_size=40), max_size=4),
       most=st.integers(1, 60))
@SOME
def test_the_bytes_are_gunicorns(method, version, whole, connection, status, headers, chunks, most):
    data = head(method, "/", version, [("Host", "x"), *([("Connection", connection)] if connection else [])])
    if whole and not status.startswith("204"):
        headers = [*headers, ("Content-Length", str(sum(map(len, chunks))))]
    request, theirs = parsed(data)
    wanted = Response(request, theirs, request.cfg)
    answered(wanted, status, headers, chunks)
    ours = Wire(most=most)
    answer = Answer(request, ours, DATE, closes=False)
    answered(answer, status, headers, chunks)
    lines = [[line for line in wire.out.split(b"\r\n") if not line.startswith(b"Date: ")] for wire in (theirs, ours)]
    assert lines[0] == lines[1]
    assert answer.closes == wanted.should_close()


def streamed(most=1 << 20):
    request, _ = parsed(head("POST", headers=[("Host", "x"), ("Content-Length", "0")]))
    wire = Wire(most=most)
    answer = Answer(request, wire, DATE, closes=False)
    answer.start_response("200 OK", [("Content-Type", "text/event-stream")])
    return answer, wire


def test_head_and_first_bytes_are_one_packet_and_so_are_the_last_and_the_end():
    answer, wire = streamed()
    assert wire.packets == 0
    answer.write(b"one")
    assert wire.packets == 1 and wire.out.endswith(b"\r\n\r\n3\r\none\r\n")
    answer.write(b"two")
    assert wire.packets == 2 and wire.out.endswith(b"3\r\ntwo\r\n")
    answer.hold()
    answer.write(b"three")
    assert wire.packets == 2
    answer.close()
    assert wire.packets == 3 and wire.out.endswith(b"5\r\nthree\r\n0\r\n\r\n")


def test_a_short_answer_is_one_packet():
    answer, wire = streamed()
    answer.hold()
    answer.write(b"all")
    answer.close()
    assert wire.packets == 1 and wire.out.endswith(b"3\r\nall\r\n0\r\n\r\n")


def test_what_was_held_is_not_lost_when_the_end_never_comes():
    answer, wire = streamed()
    answer.hold()
    answer.write(b"all")
    assert not answer.begun
    answer.release()
    assert answer.begun and wire.out.endswith(b"3\r\nall\r\n")


@pytest.mark.parametrize("header", [("x", "a\r\nb"), ("x", "a\nb"), ("x", "a\rb"), ("x\r\ny", "a"), ("x", "\r\n\r\n")])
def test_no_header_breaks_out_of_its_line(header):
    request, _ = parsed(head(headers=[("Host", "x")]))
    with pytest.raises(ValueError, match="line break"):
        Answer(request, Wire(), DATE, closes=False).start_response("200 OK", [header])


def test_headers_of_the_connection_are_the_servers_to_set():
    request, _ = parsed(head(headers=[("Host", "x")]))
    wire = Wire()
    answered(Answer(request, wire, DATE, closes=True), "200 OK", [("Connection", "keep-alive"), ("TE", "x")], [b"a"])
    assert b"Connection: close\r\n" in wire.out and b"keep-alive" not in wire.out and b"TE" not in wire.out


def test_an_error_after_the_first_bytes_is_raised_again():
    answer, _ = streamed()
    answer.write(b"one")
    error = RuntimeError("broken")
    with pytest.raises(RuntimeError, match="broken"):
        answer.start_response("500 INTERNAL SERVER ERROR", [], (RuntimeError, error, None))


def test_an_error_before_them_takes_their_place():
    request, _ = parsed(head(headers=[("Host", "x")]))
    wire = Wire()
    answer = Answer(request, wire, DATE, closes=False)
    answer.start_response("200 OK", [])
    answer.start_response("500 INTERNAL SERVER ERROR", [], (RuntimeError, RuntimeError("broken"), None))
    answer.write(b"no")
    answer.close()
    assert wire.out.startswith(b"HTTP/1.1 500 ") and wire.out.count(b"HTTP/1.1") == 1


def test_who_waits_for_leave_to_send_a_body_gets_it():
    data = head("POST", headers=[("Host", "x"), ("Expect", "100-continue"), ("Content-Length", "2")]) + b"{}"
    request, wire = parsed(data)
    found = environ(request, wire)
    assert wire.out == b"HTTP/1.1 100 Continue\r\n\r\n" and found["wsgi.input"].read(2) == b"{}"


def test_a_prefix_is_taken_off_the_path(monkeypatch):
    monkeypatch.setenv("SCRIPT_NAME", "/kiro")
    request, wire = parsed(head(path="/kiro/v1/models", headers=[("Host", "x")]))
    found = environ(request, wire)
    assert (found["SCRIPT_NAME"], found["PATH_INFO"]) == ("/kiro", "/v1/models")
    request, wire = parsed(head(path="/v1/models", headers=[("Host", "x")]))
    with pytest.raises(ValueError, match="not below"):
        environ(request, wire)


def test_nobody_moves_the_prefix_by_a_header_that_looks_like_it():
    request, wire = parsed(head(path="/v1/models", headers=[("Host", "x"), ("Script-Name", "/v1")]))
    assert environ(request, wire)["SCRIPT_NAME"] == ""


@pytest.mark.parametrize("address", ["/run/kirogw.sock", b"", "", None])
def test_a_unix_socket_has_no_port(address):
    request, wire = parsed(head(headers=[("Host", "x")]))
    found = Framing(multiprocess=True).environ(request, wire, address, address)
    assert found["REMOTE_PORT"] == found["SERVER_PORT"] == "" and isinstance(found["REMOTE_ADDR"], str)
    assert found["wsgi.multiprocess"]


def test_a_date_is_that_of_its_second(monkeypatch):
    now = [1_795_384_800.9]
    monkeypatch.setattr("time.time", lambda: now[0])
    framing = Framing(multiprocess=False)
    dates = []
    for step in (0, 0.05, 0.1):
        now[0] += step
        dates.append(framing.date())
    assert dates == ["Sun, 22 Nov 2026 22:00:00 GMT"] * 2 + ["Sun, 22 Nov 2026 22:00:01 GMT"]

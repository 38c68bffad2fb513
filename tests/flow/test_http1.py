from __future__ import annotations

import gc
import gzip
import http.client
import io
import re
import time
import weakref
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.flow import http1
from kirogw.flow.http1 import BadResponse, CutShort, Response


def fed(pieces, *, head_only=False, ended=False):
    response = Response(head_only=head_only)
    body = b"".join(response.receive(piece) for piece in pieces)
    if ended:
        response.end()
    return response, body


def by_the_library(data, method="GET"):
    """Status, headers and body as http.client reads them."""

    class Socket:
        def makefile(self, mode):
            return io.BytesIO(data)

    response = http.client.HTTPResponse(Socket(), method=method)
    response.begin()
    headers: dict[str, str] = {}
    for name, value in response.getheaders():
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return response.status, headers, response.read()


def head(*lines, status="200 OK", version="1.1"):
    return "\r\n".join([f"HTTP/{version} {status}", *lines, "", ""]).encode("latin-1")


def chunks(*pieces, trailer=b"", extension=b""):
    coded = b"".join(b"%x%s\r\n%s\r\n" % (len(p), extension, p) for p in pieces)
    return coded + b"0" + extension + b"\r\n" + trailer + b"\r\n"


CHUNKED = "Transfer-Encoding: chunked"
raw = zlib.compressobj(wbits=-15)
BARE = raw.compress(b"plain" * 9) + raw.flush()
ZIPPED = gzip.compress(b"z" * 99)
ROWS = [
    # the bytes, HEAD?, ended?, status, body, reusable
    pytest.param(head("Content-Length: 5") + b"hello", 0, 0, 200, b"hello", 1, id="length"),
    pytest.param(head("Content-Length: 5, 5") + b"hello", 0, 0, 200, b"hello", 1, id="the same length twice"),
    pytest.param(head("Content-Length: 0"), 0, 0, 200, b"", 1, id="length 0"),
    pytest.param(head("Content-Length: 5") + b"hello!", 0, 0, 200, b"hello", 0, id="junk after the body"),
    pytest.param(head(CHUNKED) + chunks(b"he", b"llo"), 0, 0, 200, b"hello", 1, id="chunks"),
    pytest.param(head(CHUNKED) + chunks(), 0, 0, 200, b"", 1, id="no chunk"),
    pytest.param(head(CHUNKED) + chunks(b"a", extension=b' ;x="y z"'), 0, 0, 200, b"a", 1, id="extensions"),
    pytest.param(head(CHUNKED) + b"00A\r\n0123456789\r\n000\r\n\r\n", 0, 0, 200, b"0123456789", 1, id="zeros first"),
    pytest.param(head(CHUNKED) + chunks(b"a", trailer=b"X: y\r\n"), 0, 0, 200, b"a", 1, id="trailers"),
    pytest.param(head(CHUNKED) + chunks(b"a") + b"b", 0, 0, 200, b"a", 0, id="junk after the chunks"),
    pytest.param(head(CHUNKED, "Content-Length: 1") + chunks(b"abc"), 0, 0, 200, b"abc", 0, id="chunks and length"),
    pytest.param(head(CHUNKED, version="1.0") + chunks(b"abc"), 0, 0, 200, b"abc", 0, id="chunks in 1.0"),
    pytest.param(head() + b"till the end", 0, 1, 200, b"till the end", 0, id="until close"),
    pytest.param(head("Transfer-Encoding: identity") + b"x", 0, 1, 200, b"x", 0, id="identity"),
    pytest.param(head("Connection: close", "Content-Length: 1") + b"x", 0, 0, 200, b"x", 0, id="close"),
    pytest.param(head("Connection: x, Keep-Alive", "Content-Length: 1", version="1.0") + b"x", 0, 0, 200, b"x", 1,
                 id="kept in 1.0"),
    pytest.param(head(status="204"), 0, 0, 204, b"", 1, id="204"),
    pytest.param(head("Content-Length: 9", status="304 Not Modified"), 0, 0, 304, b"", 1, id="304"),
    pytest.param(head("Content-Length: 9"), 1, 0, 200, b"", 1, id="HEAD"),
    pytest.param(head(status="204") + b"x", 0, 0, 204, b"", 0, id="204 with a body"),
    pytest.param(head(status="100 Continue") + head(status="103 Early Hints") + head("Content-Length: 1") + b"x",
                 0, 0, 200, b"x", 1, id="interim"),
    pytest.param(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 0, 0, 200, b"ok", 1, id="bare LF"),
    pytest.param(head("Content-Encoding: gzip", f"Content-Length: {len(ZIPPED)}") + ZIPPED, 0, 0, 200, b"z" * 99, 1,
                 id="gzip"),
    pytest.param(head("Content-Encoding: x-gzip") + gzip.compress(b"one") + gzip.compress(b"two"), 0, 1, 200,
                 b"onetwo", 0, id="two members, until close"),
    pytest.param(head("Content-Encoding: Deflate", CHUNKED) + chunks(zlib.compress(b"wrapped")), 0, 0, 200,
                 b"wrapped", 1, id="deflate"),
    pytest.param(head("Content-Encoding: deflate", CHUNKED) + chunks(BARE), 0, 0, 200, b"plain" * 9, 1,
                 id="bare deflate"),
    pytest.param(head("Content-Encoding: gzip", "Content-Length: 0"), 0, 0, 200, b"", 1, id="gzip of nothing"),
    pytest.param(head("Content-Encoding: br", "Content-Length: 2") + b"??", 0, 0, 200, b"??", 1, id="unknown coding"),
]


@pytest.mark.parametrize(("data", "head_only", "ended", "status", "body", "reusable"), ROWS)
def test_a_response_in_any_cut(data, head_only, ended, status, body, reusable):
    cuts = [[data], [bytes([b]) for b in data], *([data[:n], data[n:]] for n in range(len(data)))]
    for pieces in cuts:
        response, got = fed(pieces, head_only=head_only, ended=ended)
        assert (response.status, got, response.reusable, response.done) == (status, body, bool(reusable), True)


@pytest.mark.parametrize(("data", "head_only", "ended", "status", "body", "reusable"), ROWS)
def test_a_response_that_ends_early_is_never_whole(data, head_only, ended, status, body, reusable):
    final = data.index(b"HTTP/1.1 200") if b"HTTP/1.1 200" in data else 0
    body_begins = len(data) if head_only or status != 200 else re.search(rb"\n\r?\n", data[final:]).end() + final
    for n in range(body_begins if ended else len(data)):
        response = Response(head_only=head_only)
        got = response.receive(data[:n])
        assert body.startswith(got)
        if response.done:
            assert data[n:] in (b"!", b"b", b"x")  # the junk of the rows that have some
            continue
        with pytest.raises(CutShort):
            response.end()
        assert not response.done and not response.reusable


def test_compression_that_ends_early_is_told():
    whole = gzip.compress(b"many words " * 50)
    for n in range(1, len(whole)):
        with pytest.raises(CutShort):
            fed([head("Content-Encoding: gzip"), whole[:n]], ended=True)
        with pytest.raises(BadResponse):
            fed([head("Content-Encoding: gzip", CHUNKED), chunks(whole[:n])])


@pytest.mark.parametrize("coding", ["", "Content-Encoding: gzip"])
def test_a_chunk_a_read(coding):
    pieces = [b"one", b"two\r\n", b"three" * 99]
    if coding:
        squeeze = zlib.compressobj(wbits=31)
        pieces = [squeeze.compress(p) + squeeze.flush(zlib.Z_SYNC_FLUSH) for p in pieces] + [squeeze.flush()]
    for _ in range(2):  # the second time its lengths are known
        response = Response()
        assert response.receive(head(CHUNKED, *filter(None, [coding]))) == b""
        got = [response.receive(b"%x\r\n%s\r\n" % (len(p), p)) for p in pieces]
        assert [one for one in got if one] == [b"one", b"two\r\n", b"three" * 99]
        assert response.receive(b"0\r\n\r\n") == b"" and response.reusable


def test_headers_are_lower_case_and_joined():
    response, _ = fed([head("X-One: 1", "x-one:  2 ", "Folded: a", "\t b", "Empty:", "Umlaut: \xfc")])
    assert response.headers == {"x-one": "1, 2", "folded": "a b", "empty": "", "umlaut": "\xfc"}


WRONG = [
    pytest.param(b"<html>\r\n\r\n", id="no HTTP"),
    pytest.param(b"\r\n\r\n", id="nothing"),
    pytest.param(head(status="20 OK"), id="two digits"),
    pytest.param(head(version="2.0"), id="another version"),
    pytest.param(head("no colon"), id="no colon"),
    pytest.param(head("Bad Name: x"), id="a space in a name"),
    pytest.param(head("Name : x"), id="a space before the colon"),
    pytest.param(head(": x"), id="no name"),
    pytest.param(head(" folded"), id="folded at once"),
    pytest.param(head("A: b\0c"), id="NUL"),
    pytest.param(head("A: b\rc"), id="CR in a value"),
    pytest.param(head("Content-Length: x"), id="length in letters"),
    pytest.param(head("Content-Length: -1"), id="negative length"),
    pytest.param(head("Content-Length: +1"), id="signed length"),
    pytest.param(head("Content-Length: 1, 2"), id="two lengths"),
    pytest.param(head("Content-Length:"), id="empty length"),
    pytest.param(head("Transfer-Encoding: gzip, chunked"), id="other transfer coding"),
    pytest.param(head(CHUNKED, CHUNKED), id="chunked twice"),
    pytest.param(head(CHUNKED) + b"x\r\n", id="chunk length in letters"),
    pytest.param(head(CHUNKED) + b"0x1\r\na\r\n", id="chunk length with 0x"),
    pytest.param(head(CHUNKED) + b"1_0\r\n", id="chunk length with an underscore"),
    pytest.param(head(CHUNKED) + b"+1\r\na\r\n", id="signed chunk length"),
    pytest.param(head(CHUNKED) + b"\r\n", id="empty chunk length"),
    pytest.param(head(CHUNKED) + b"1" * 5000, id="endless chunk length"),
    pytest.param(head(CHUNKED) + b"fffffffffffffffff\r\n", id="chunk length beyond measure"),
    pytest.param(head(CHUNKED) + b"1\r\nab", id="chunk longer than said"),
    pytest.param(head(CHUNKED) + b"1\r\nab\r\n0\r\n\r\n", id="chunk longer than said, in one read"),
    pytest.param(head(CHUNKED) + b"1\na\r\n0\r\n\r\n", id="bare LF between chunks"),
    pytest.param(head(CHUNKED) + b"0\r\nno colon\r\n\r\n", id="bad trailer"),
    pytest.param(head(CHUNKED) + b"0\r\n" + b"A: b\r\n" * 2000, id="endless trailers"),
    pytest.param(head(CHUNKED) + b"0\r\nA: " + b"b" * 10_000, id="endless trailer"),
    pytest.param(b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000, id="endless head"),
    pytest.param(head("A: " + "b" * 70_000), id="head too long"),
    pytest.param(head(status="101 Switching Protocols"), id="101"),
    pytest.param(head(status="102 Processing") * 17, id="endless interim"),
    pytest.param(head("Content-Encoding: gzip", "Content-Length: 9") + b"not gzip!", id="no gzip"),
    pytest.param(head("Content-Encoding: gzip", "Content-Length: 20") + gzip.compress(b"cut" * 9)[:20], id="gzip cut"),
]


@pytest.mark.parametrize("data", WRONG)
def test_what_is_no_response_is_refused(data):
    with pytest.raises(BadResponse):
        fed([data])
    with pytest.raises(BadResponse):
        fed(data[n : n + 7] for n in range(0, len(data), 7))


def test_one_read_inflates_to_16_mib_at_most():
    bomb = gzip.compress(bytes(17 * 1024 * 1024))
    with pytest.raises(BadResponse):
        fed([head("Content-Encoding: gzip") + bomb])
    half = len(bomb) // 2
    assert len(fed([head("Content-Encoding: gzip"), bomb[:half], bomb[half:]], ended=True)[1]) == 17 * 1024 * 1024


HEADERS = st.lists(st.sampled_from([
    "X-A: 1", "x-a: 2", "Content-Type: application/json", "Connection: keep-alive", "Odd: \xe9\xff", "Empty:",
]), max_size=4)  # fmt: skip
BODY = st.lists(st.binary(min_size=1, max_size=40), max_size=6)


@st.composite
def responses(draw):
    """Bytes of a response, and whether only the end of the connection ends it."""
    lines, pieces = draw(HEADERS), draw(BODY)
    body = b"".join(pieces)
    before = draw(st.sampled_from([b"", head(status="100 Continue"), head("A: b", status="100 Continue") * 2]))
    status = draw(st.sampled_from(["200 OK", "404", "500 Oh no", "204 No Content", "304 Not Modified"]))
    framing = draw(st.sampled_from(["length", "chunks", "close"]))
    if status[:3] in ("204", "304"):
        return before + head(*lines, status=status), False
    if framing == "length":
        return before + head(*lines, f"Content-Length: {len(body)}", status=status) + body, False
    if framing == "chunks":
        trailer = draw(st.sampled_from([b"", b"T: 1\r\n"]))
        extension = draw(st.sampled_from([b"", b";a=b"]))
        coded = chunks(*pieces, trailer=trailer, extension=extension)
        return before + head(*lines, CHUNKED, status=status) + coded, False
    return before + head(*lines, status=status) + body, True


@settings(max_examples=200, deadline=None)
@given(responses(), st.data())
def test_it_reads_what_http_client_reads(made, data):
    stream, ended = made
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    response, body = fed(pieces, ended=ended)
    assert (response.status, response.headers, body) == by_the_library(stream)
    assert response.done and response.reusable != ended


@settings(max_examples=200, deadline=None)
@given(responses(), st.data())
def test_damaged_bytes_end_in_an_error_of_ours_or_none(made, data):
    stream = bytearray(made[0])
    for _ in range(data.draw(st.integers(1, 4))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    one, two = [], []
    for pieces, got in (([bytes(stream)], one), ([bytes([b]) for b in stream], two)):
        response = Response()
        try:
            body = b"".join(response.receive(piece) for piece in pieces)
            response.end()
            got += [response.status, response.headers, body]
        except (BadResponse, CutShort) as failure:
            got.append(type(failure))
    assert one == two


def test_the_cache_of_lengths_stays_small(monkeypatch):
    monkeypatch.setattr(http1, "_CACHED", 8)
    http1._sizes.clear()
    pieces = [b"x" * n for n in range(1, 60)]
    assert fed([head(CHUNKED), chunks(*pieces)])[1] == b"".join(pieces)
    assert len(http1._sizes) <= 8


def test_nothing_is_quadratic():
    began = time.thread_time()
    long = head("A: " + "b" * 60_000, CHUNKED)
    stream = long + chunks(*[b"x" * 150] * 20_000)
    assert len(fed([stream])[1]) == 3_000_000
    assert fed(bytes([b]) for b in long)[0].head_done
    assert len(fed([head(CHUNKED) + b"%x\r\n" % 300_000, *[b"x"] * 300_000])[1]) == 300_000
    assert time.thread_time() - began < 10


def test_a_response_is_no_cycle():
    """Garbage that only a search finds makes every stream wait while it is looked for."""

    class Watched(Response):
        """With room for a weak reference."""

    response = Watched()
    response.receive(head("Transfer-Encoding: chunked") + chunks(b"ab", b"c"))
    gone = weakref.ref(response)
    gc.disable()
    try:
        del response
        assert gone() is None
    finally:
        gc.enable()

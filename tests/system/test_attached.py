"""Pictures and documents through a real gateway: what Kiro gets as a file, what as text, and what is refused."""

import base64

import pytest

from kirogw.twin import Twin
from tests.dialects.conversations import GIF, PNG, png
from tests.loopback import read_head, server
from tests.pdfs import pdf
from tests.system.running import running
from tests.system.said import FORMS, IDS, answered, current, history, payloads, results, say, tool, user
from tests.system.talk import FACES

EACH = pytest.mark.parametrize(("face", "stream"), FORMS, ids=IDS)
FILES = {
    "/a.png": ("image/png", base64.b64decode(PNG)), "/odd": ("text/html", base64.b64decode(PNG)),
    "/page": ("text/html", b"<p>No picture.</p>"), "/a.pdf": ("application/pdf", pdf("The sea is green.")),
}  # fmt: skip


def serve(connection):
    """The files above; /there leads to a.png, /in to the address of a cloud's own data."""
    path = read_head(connection)[0].split()[1].decode()
    moved = {"/there": "/a.png", "/in": "http://169.254.169.254/latest/meta-data"}.get(path)
    if moved:
        head, data = f"302 Found\r\nlocation: {moved}", b""
    else:
        kind, data = FILES[path]
        head = f"200 OK\r\ncontent-type: {kind}"
    connection.sendall(f"HTTP/1.1 {head}\r\ncontent-length: {len(data)}\r\nconnection: close\r\n\r\n".encode() + data)


@pytest.fixture(scope="module")
def web():
    with server(serve) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def open_pair():
    """A gateway that may fetch from here."""
    with Twin(accounts=["api_key"]) as twin, running(twin, FETCH_PRIVATE="true") as gateway:
        yield twin, gateway
        assert twin.refusals == []


def image(face, url):
    if face == "chat":
        return {"type": "image_url", "image_url": {"url": url}}
    media, _, data = url.removeprefix("data:").partition(";base64,")
    source = {"type": "base64", "media_type": media, "data": data} if data else {"type": "url", "url": url}
    return {"type": "image", "source": source}


def document(face, name, media, data):
    encoded = base64.b64encode(data).decode()
    if face == "chat":
        return {"type": "file", "file": {"filename": name, "file_data": f"data:{media};base64,{encoded}"}}
    return {"type": "document", "title": name, "source": {"type": "base64", "media_type": media, "data": encoded}}


def with_parts(*parts):
    return [{"role": "user", "content": [{"type": "text", "text": "Look."}, *parts]}]


def images(message):
    return [(one["format"], one["source"]["bytes"]) for one in message.get("images", [])]


def documents(message):
    return [(one["name"], one["format"]) for one in message.get("documents", [])]


@EACH
def test_a_picture_as_data_is_what_its_bytes_are(twin, gateway, face, stream):
    say(gateway, face, stream, messages=with_parts(image(face, f"data:image/jpeg;base64,{PNG}"), image(face, f"data:image/gif;base64,{GIF}")))
    sent = current(payloads(twin)[0])
    assert (sent["content"], images(sent)) == ("Look.", [("png", PNG), ("gif", GIF)])


@pytest.mark.parametrize("path", ["/a.png", "/odd", "/there"])
@EACH
def test_a_picture_at_a_url_is_fetched(open_pair, web, face, stream, path):
    twin, gateway = open_pair
    twin.reset()
    assert say(gateway, face, stream, messages=with_parts(image(face, web + path))).status == 200
    assert images(current(payloads(twin)[0])) == [("png", PNG)]


@pytest.mark.parametrize(("path", "why"), [("/page", "neither PNG"), ("/in", "169.254.169.254")])
@EACH
def test_what_is_no_picture_is_refused(open_pair, web, face, stream, path, why):
    twin, gateway = open_pair
    twin.reset()
    answer = say(gateway, face, stream, messages=with_parts(image(face, web + path)))
    assert (answer.status, twin.seen()) == (400, [])
    assert why in answer.error["message"]


PRIVATE = ["http://127.0.0.1:{port}/a.png", "http://localhost:{port}/a.png", "http://[::1]/a.png", "http://169.254.169.254/latest",
           "http://10.0.0.1/a.png", "http://0x7f000001/a.png", "http://2130706433/a.png", "file:///etc/passwd"]  # fmt: skip


@pytest.mark.parametrize("url", PRIVATE)
@pytest.mark.parametrize("face", FACES)
def test_a_private_address_is_refused(twin, gateway, web, face, url):
    answer = say(gateway, face, True, messages=with_parts(image(face, url.format(port=web.rpartition(":")[2]))))
    assert (answer.status, twin.seen()) == (400, [])
    at = {"messages": "messages.0.content.1", "chat": "messages[0].content[1]"}[face]
    assert answer.error.get("param", at) == at and at in str(answer.error)


@pytest.mark.parametrize("face", FACES)
def test_a_url_that_worked_once_does_not_end_a_session_later(open_pair, web, face):
    """In an older message what can not be had any more becomes text."""
    twin, gateway = open_pair
    twin.reset()
    messages = [*with_parts(image(face, f"{web}/page")), {"role": "assistant", "content": "Nice."}, user("And?")]
    assert say(gateway, face, False, messages=messages).status == 200
    assert history(payloads(twin)[0])[0]["content"] == f"Look.\n\n[An image that could not be loaded: {web}/page]"


@EACH
def test_a_picture_in_a_result_moves_beside_it(twin, gateway, face, stream):
    calls = {"messages": [{"type": "tool_use", "id": "t1", "name": "see", "input": {}}],
             "chat": [{"id": "t1", "type": "function", "function": {"name": "see", "arguments": "{}"}}]}[face]  # fmt: skip
    said = {"role": "assistant", "content": calls} if face == "messages" else {"role": "assistant", "tool_calls": calls}
    messages = [user("See."), said, *results(face, ("t1", [image(face, f"data:image/png;base64,{PNG}")]))]
    say(gateway, face, stream, messages=messages, tools=[tool(face, "see")])
    (sent,) = payloads(twin)
    assert images(current(sent)) == [("png", PNG)]
    assert answered(sent) == {"t1": "(image 1 of this message)"}


@EACH
def test_a_model_that_sees_nothing_is_told(twin, gateway, face, stream):
    assert say(gateway, face, stream, model="glm-5", messages=with_parts(image(face, f"data:image/png;base64,{PNG}"))).status == 200
    assert current(payloads(twin)[0])["content"] == "Look.\n\n[An image. The model glm-5 takes no images.]"


@EACH
def test_an_image_that_is_too_large_is_refused(twin, gateway, face, stream):
    wide = base64.b64encode(png(8001)).decode()
    answer = say(gateway, face, stream, messages=with_parts(image(face, f"data:image/png;base64,{wide}")))
    assert (answer.status, twin.seen()) == (400, [])
    assert "8001 x 1 pixels" in answer.error["message"]


@EACH
def test_a_pdf_goes_as_a_file(twin, gateway, face, stream):
    data = pdf("The sea is blue.")
    say(gateway, face, stream, messages=with_parts(document(face, "Sea report.pdf", "application/pdf", data)))
    sent = current(payloads(twin)[0])
    assert documents(sent) == [("Sea report pdf", "pdf")]
    assert base64.b64decode(sent["documents"][0]["source"]["bytes"]) == data


@EACH
def test_beyond_five_documents_the_rest_is_text(twin, gateway, face, stream):
    files = [document(face, f"part {n}.pdf", "application/pdf", pdf(f"This is part {n}.")) for n in range(7)]
    asked = [*with_parts(*files[:4]), {"role": "assistant", "content": "Yes."}, *with_parts(*files[4:])]
    assert say(gateway, face, stream, messages=asked).status == 200
    (sent,) = payloads(twin)
    before, now = documents(history(sent)[0]), documents(current(sent))
    assert [name for name, _ in (*before, *now)] == [f"part {n} pdf" for n in range(5)]
    for n in (5, 6):
        assert f'<document name="part {n}.pdf">\nThis is part {n}.\n</document>' in current(sent)["content"]


@EACH
def test_what_is_only_text_goes_as_text(twin, gateway, face, stream):
    say(gateway, face, stream, messages=with_parts(document(face, "notes.py", "text/x-python", "print('é')".encode())))
    assert current(payloads(twin)[0])["content"] == "Look.\n\n<document name=\"notes.py\">\nprint('é')\n</document>"


def test_a_document_at_a_url(open_pair, web):
    twin, gateway = open_pair
    twin.reset()
    part = {"type": "document", "source": {"type": "url", "url": f"{web}/a.pdf"}}
    assert say(gateway, "messages", False, messages=with_parts(part)).status == 200
    sent = current(payloads(twin)[0])
    assert base64.b64decode(sent["documents"][0]["source"]["bytes"]) == FILES["/a.pdf"][1]

"""Files of a conversation, with a real server on the loopback and real PDFs."""

import base64
import http.server
import threading
import time
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from kirogw import attachments, pdf
from kirogw.conversation import Call, Conversation, Document, Image, Result, Text, Thought, Turn
from kirogw.dialects.kiro.media import DOCUMENT_BYTES, documents_are_files_or_text, pictures_are_what_they_say
from kirogw.dialects.kiro.provider import Kiro
from kirogw.dialects.kiro.shape import Shape, Terms
from kirogw.dialects.provider import Model
from kirogw.errors import BadRequest
from kirogw.fetch import Fetcher
from kirogw.settings import Settings
from tests import pdfs

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00"
DOCX = b"PK\x03\x04 a word file"
WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
TWO = pdfs.pdf("one", "two")
FILES = {  # path: type, content
    "/a.png": ("image/png", PNG),
    "/lies.png": ("text/plain", PNG),
    "/page.png": ("text/html; charset=utf-8", b"<html>no picture</html>"),
    "/a.pdf": ("application/octet-stream", TWO),
    "/notes": ("text/plain", "Grüße\0".encode()),
    "/table.csv": ("application/octet-stream", b"a,b\n1,2\n"),
    "/a.docx": ("binary/octet-stream", DOCX),
}


class Site(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        media, data = FILES.get(self.path, ("", None))
        self.server.seen.append(self.path)
        self.send_response(404 if data is None else 200)
        self.send_header("Content-Type", media)
        self.end_headers()
        self.wfile.write(data or b"")


def resolve(conversation, source):
    return attachments.resolve(conversation, source, Kiro.documents)


@pytest.fixture(scope="module")
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.seen = []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def web(server):
    server.seen.clear()
    return f"http://127.0.0.1:{server.server_address[1]}"


def fetcher(**settings):
    return Fetcher(Settings(**{"fetch_private": True, "fetch_timeout": 5.0} | settings))


def b64(data):
    return base64.b64encode(data).decode()


def user(*parts):
    return Turn("user", parts)


def model(*parts):
    return Turn("model", parts)


def talk(*turns):
    return Conversation("m", turns)


def resolved(*parts, **settings):
    return resolve(talk(user(*parts)), fetcher(**settings)).turns[0].parts


AS_THEY_ARE = [
    pytest.param(talk(user(Text("hi"))), id="text"),
    pytest.param(talk(user(Image(b64(PNG), "image/png"))), id="image that is here"),
    pytest.param(talk(model(Call("1", "f"), Thought("t", "s")), user(Result("1", (Text("x"), Image("AAAA"))))), id="results"),
    pytest.param(talk(), id="nothing"),
]


@pytest.mark.parametrize("conversation", AS_THEY_ARE)
def test_what_needs_nothing_passes_untouched(conversation):
    assert resolve(conversation, fetcher(fetch_image_urls=False)) is conversation


def test_what_needs_nothing_costs_nothing():
    turns = [user(Result(str(n), (Text("x" * 2000),)), Text("y")) for n in range(60)]
    conversation, mine = talk(*turns), fetcher()
    took = []
    for _ in range(30):
        began = time.thread_time()
        resolve(conversation, mine)
        took.append(time.thread_time() - began)
    assert min(took) < 0.002  # 0.05 ms, and more while coverage is measured


LOADED = [
    # what the client sent, what becomes of it; WEB stands for the server
    pytest.param(Image(url="WEB/a.png"), Image(b64(PNG), "image/png", "WEB/a.png"), id="image"),
    pytest.param(Image(url="WEB/lies.png"), Image(b64(PNG), "image/png", "WEB/lies.png"), id="image by its bytes"),
    pytest.param(Image(url="data:image/jpeg;base64," + b64(PNG)),
                 Image(b64(PNG), "image/png", "data:image/jpeg;base64," + b64(PNG)), id="image in a data URL"),
    pytest.param(Document("d", "application/pdf", url="WEB/a.pdf"),
                 Document("d", "application/pdf", b64(TWO), url="WEB/a.pdf"), id="pdf"),
    pytest.param(Document("d", "application/pdf", url="WEB/notes"),
                 Document("d", "text/plain", text="Grüße", url="WEB/notes"), id="text"),
    pytest.param(Document("d", url="WEB/table.csv"),
                 Document("d", "text/csv", text="a,b\n1,2\n", url="WEB/table.csv"), id="table by its name"),
    pytest.param(Document("d", "application/pdf", url="WEB/a.docx"),
                 Document("d", WORD, b64(DOCX), url="WEB/a.docx"), id="word file by its name"),
    pytest.param(Document("d", url="DATA:text/plain,a%20b"), Document("d", "text/plain", text="a b", url="DATA:text/plain,a%20b"),
                 id="data URL without base64"),
    pytest.param(Document("http://[x", "text/plain", url="data://[x;base64,QUJD"),
                 Document("http://[x", "//[x", "QUJD", url="data://[x;base64,QUJD"), id="what begins like a URL"),
    pytest.param(Result("1", (Text("see"), Image(url="WEB/a.png"))),
                 Result("1", (Text("see"), Image(b64(PNG), "image/png", "WEB/a.png"))), id="inside a result"),
]  # fmt: skip


def at(part, web):
    if isinstance(part, Result):
        return replace(part, parts=tuple(at(inner, web) for inner in part.parts))
    return replace(part, url=part.url.replace("WEB", web)) if isinstance(part, Image | Document) else part


@pytest.mark.parametrize(("sent", "got"), LOADED)
def test_what_lies_at_a_url_is_loaded(web, sent, got):
    assert resolved(at(sent, web)) == (at(got, web),)


WRONG = [
    # part, words, path
    pytest.param(Image(url="WEB/page.png"), "is text/html, neither PNG, JPEG, GIF nor WebP", "", id="a page"),
    pytest.param(Image(url="WEB/missing.png"), "status 404", "", id="missing"),
    pytest.param(Image(url="data:image/png;base64,!!!"), "the data: URL is not valid; check its base64", "", id="no base64"),
    pytest.param(Image(url="data:image/png;base64,"), "it holds no data", "", id="empty data URL"),
    pytest.param(Image(url="data:nothing"), "it holds no data", "", id="data URL without a comma"),
    pytest.param(Document("d", url="ftp://127.0.0.1/a"), "no http or https URL", "", id="another scheme"),
    pytest.param(Result("1", (Image(url="WEB/missing.png"),)), "status 404", ".content.0", id="inside a result"),
]


@pytest.mark.parametrize(("part", "words", "inside"), WRONG)
def test_what_is_wrong_is_told_with_its_place(web, part, words, inside):
    with pytest.raises(BadRequest, match=words) as caught:
        resolve(talk(user(Text("hi")), model(Text("ho")), user(Text("see"), at(part, web))), fetcher())
    assert caught.value.param == "messages.2.content.1" + inside


def test_our_own_network_is_refused(web):
    with pytest.raises(BadRequest, match="does not lie at a public address") as caught:
        resolved(Image(url=f"{web}/a.png"), fetch_private=False)
    assert caught.value.param == "messages.0.content.0"


def test_nothing_is_fetched_when_that_is_off(web, server):
    with pytest.raises(BadRequest, match=r"does not fetch URLs \(FETCH_IMAGE_URLS is off\)") as caught:
        resolved(Image(url=f"{web}/a.png"), fetch_image_urls=False)
    assert caught.value.param == "messages.0.content.0"
    assert server.seen == []
    assert resolved(Image(url="data:;base64," + b64(PNG)), fetch_image_urls=False)[0].data == b64(PNG)


def test_what_is_gone_from_an_earlier_turn_is_no_error(web):
    gone, inline = Image(url=f"{web}/missing.png"), Image(url="data:image/png;base64,!!!")
    locked = Document("old", "application/pdf", b64(pdfs.locked(TWO, "secret")))
    conversation = talk(user(gone, inline, locked), model(Text("I see.")), user(Text("And now?")))
    parts = resolve(conversation, fetcher()).turns[0].parts
    reason = "the PDF is protected by a password; send it without one, or its text"
    assert parts == (
        gone,
        Text("[A file that could not be read.]"),
        replace(locked, data="", text=f"[The document could not be read: {reason}]"),
    )


def test_a_prefill_does_not_make_the_question_old(web):
    conversation = talk(user(Image(url=f"{web}/missing.png")), model(Text("The picture shows")))
    with pytest.raises(BadRequest, match="status 404"):
        resolve(conversation, fetcher())


def test_the_same_url_is_fetched_once_and_only_the_newest_are(web, server, monkeypatch):
    monkeypatch.setattr(attachments, "URLS", 2)
    a, b, c = (Image(url=f"{web}/{name}") for name in ("a.png", "lies.png", "page.png"))
    old = talk(user(c, b, b, a), model(Text("hm")), user(Text("go on")))
    parts = resolve(old, fetcher()).turns[0].parts
    assert [bool(part.data) for part in parts] == [False, True, True, True]
    assert sorted(server.seen) == ["/a.png", "/lies.png"]
    with pytest.raises(BadRequest, match="more than 2 URLs in one request are not fetched"):
        resolved(c, b, a)


ENCODED = [
    pytest.param("Grüße".encode(), "Grüße", id="utf-8"),
    pytest.param("Grüße".encode("utf-8-sig"), "Grüße", id="utf-8 with a mark"),
    pytest.param("Grüße".encode("utf-16"), "Grüße", id="utf-16"),
    pytest.param("Grüße".encode("latin-1"), "Grüße", id="latin-1"),
    pytest.param(b"a\0b", "ab", id="NUL"),
]


@pytest.mark.parametrize("media", ["text/plain", "text/html", "text/x-rust", "application/json"])
@pytest.mark.parametrize(("data", "text"), ENCODED)
def test_text_files_become_text(media, data, text):
    assert resolved(Document("d", media, b64(data))) == (Document("d", media, text=text),)


def words(n):
    return Document(f"w{n}", WORD, b64(DOCX))


def a_pdf(n, **filler):
    return Document(f"p{n}", "application/pdf", b64(pdfs.pdf(f"text {n}", **filler)))


def test_the_first_five_go_as_files_and_later_pdfs_as_text():
    sent = [a_pdf(0), words(1), a_pdf(2), Document("t", "text/plain", b64(b"text")), words(3), a_pdf(4), a_pdf(5), words(6)]
    got = list(sent)
    got[3] = Document("t", "text/plain", text="text")
    got[6] = replace(a_pdf(5), data="", text="text 5")
    assert resolved(*sent) == tuple(got)


def test_a_pdf_that_is_too_large_goes_as_text():
    large = a_pdf(1, filler=bytes(DOCUMENT_BYTES))
    assert resolved(large) == (replace(large, data="", text="text 1"),)


def test_a_pdf_is_known_by_its_bytes():
    assert resolved(Document("d", "", b64(TWO))) == (Document("d", "application/pdf", b64(TWO)),)


def test_what_is_no_base64_is_left_to_the_rules():
    broken = Document("d", "application/pdf", "a")
    assert resolved(broken) == (broken,)


def test_an_encrypted_pdf_with_an_empty_password_goes_as_text():
    locked = Document("d", "application/pdf", b64(pdfs.locked(TWO, "")))
    assert resolved(locked) == (replace(locked, data="", text="one\n\ntwo"),)


def test_a_pdf_with_a_password_is_told():
    with pytest.raises(BadRequest) as caught:
        resolved(Text("see"), Document("a.pdf", "application/pdf", b64(pdfs.locked(TWO, "secret"))))
    assert str(caught.value) == "a.pdf: the PDF is protected by a password; send it without one, or its text"
    assert caught.value.param == "messages.0.content.1"


def test_a_pdf_in_an_encryption_that_we_do_not_know_goes_as_a_file_while_there_is_room():
    sealed = Document("d", "application/pdf", b64(pdfs.sealed(TWO)))
    assert resolved(sealed) == (sealed,)
    with pytest.raises(BadRequest, match="d: the PDF is protected"):
        resolved(*[sealed] * 6)


def test_a_broken_pdf_that_must_be_text_is_told():
    with pytest.raises(BadRequest, match=r"^d: the PDF is broken \(\w+\); send its text$"):
        attachments.resolve(talk(user(Document("d", "application/pdf", b64(TWO[:300])))), fetcher(), replace(Kiro.documents, count=0))


def test_doing_it_twice_changes_nothing(web):
    conversation = talk(user(*(at(row.values[0], web) for row in LOADED), *(a_pdf(n) for n in range(6))))
    once = resolve(conversation, fetcher())
    assert resolve(once, fetcher()) == once


PARTS = st.sampled_from([
    Text("x"), Image(b64(PNG)), Image(url="data:image/png;base64," + b64(PNG)), words(1), a_pdf(2),
    Document("t", "text/plain", b64(b"text")), Document("u", "text/plain", text="text"),
    Result("1", (Text("y"), a_pdf(3), Image(b64(PNG)))),
])  # fmt: skip
TERMS = Terms(Model("m"), Shape.of(Settings()))


@limits(max_examples=100, deadline=None)
@given(st.lists(st.lists(PARTS, max_size=5).map(tuple), min_size=1, max_size=4))
def test_the_rules_take_whatever_comes_out(monkeypatch_pdf, turns):
    conversation = talk(*(Turn(("user", "model")[n % 2], parts) for n, parts in enumerate(turns)))
    binary = [part.media for turn in conversation.turns for part in attachments._files(turn.parts) if isinstance(part, Document)]
    assume(WORD not in [media for media in binary if not media.startswith("text/")][5:])  # we have no text of those
    ready = resolve(conversation, fetcher())
    for rule in (pictures_are_what_they_say, documents_are_files_or_text):
        ready = rule(ready, TERMS)
    files = [part for turn in ready.turns for part in attachments._files(turn.parts) if isinstance(part, Document)]
    assert len(files) <= 5
    assert not any(part.text for part in files)


@pytest.fixture(scope="module")
def monkeypatch_pdf():
    """The text of the one PDF is read once, so that the examples are quick."""
    pdf.pdf_text(base64.b64decode(a_pdf(2).data))
    pdf.pdf_text(base64.b64decode(a_pdf(3).data))

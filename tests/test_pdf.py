import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw import pdf, pdftext
from kirogw.errors import BadRequest
from tests import pdfs

TWO = pdfs.pdf("Hello there\nsecond line", "Page two")


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    monkeypatch.setattr(pdf, "_answers", pdf._Answers())


EXTRACTED = [
    pytest.param(TWO, {"text": "Hello there\nsecond line\n\nPage two", "pages": 2, "read": 2}, id="two pages"),
    pytest.param(pdfs.pdf(""), {"text": "", "pages": 1, "read": 1}, id="empty page"),
    pytest.param(pdfs.pdf("a", "b", "c", "d"), {"text": "a\n\nb\n\nc", "pages": 4, "read": 3}, id="too many pages"),
    pytest.param(pdfs.pdf("a", "b" * 100), {"text": "a", "pages": 2, "read": 1}, id="too many characters"),
    pytest.param(pdfs.locked(pdfs.pdf("a"), ""), {"text": "a", "pages": 1, "read": 1}, id="empty password"),
    pytest.param(pdfs.locked(pdfs.pdf("a"), "", "AES-256"), {"text": "a", "pages": 1, "read": 1}, id="AES, empty password"),
    pytest.param(pdfs.locked(pdfs.pdf("a"), "secret"), {"error": "locked"}, id="password"),
    pytest.param(pdfs.locked(pdfs.pdf("a"), "secret", "AES-128"), {"error": "locked"}, id="AES, password"),
    pytest.param(pdfs.sealed(pdfs.pdf("a")), {"error": "sealed"}, id="a shop's own encryption"),
    pytest.param(b"", {"error": "broken", "reason": "EmptyFileError"}, id="nothing"),
]


@pytest.mark.parametrize(("data", "answer"), EXTRACTED)
def test_extract(data, answer):
    assert pdftext.extract(data, 3, 50) == answer


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_no_damage_is_an_exception(data):
    damaged = bytearray(TWO)
    for at in data.draw(st.lists(st.integers(0, len(TWO) - 1), max_size=20)):
        damaged[at] = data.draw(st.integers(0, 255))
    answer = pdftext.extract(bytes(damaged[: data.draw(st.integers(0, len(TWO)))]), 10, 1000)
    assert "text" in answer or answer["error"] in ("broken", "locked", "sealed")


def test_text_of_a_pdf():
    assert pdf.pdf_text(TWO) == "Hello there\nsecond line\n\nPage two"


def test_what_is_missing_is_told(monkeypatch):
    monkeypatch.setattr(pdf, "PAGES", 2)
    text = pdf.pdf_text(pdfs.pdf("a", "b", "c", "d", "e"))
    assert text == "a\n\nb\n\n[The last 3 of 5 pages were left out: the document is too long.]"


WRONG = [
    pytest.param(pdfs.locked(TWO, "secret"), "is protected by a password; send it without one, or its text", id="locked"),
    pytest.param(TWO[:300], "is broken (PdfStreamError); send its text", id="cut"),
    pytest.param(pdfs.pdf(""), "holds no text, only pictures; send its pages as images", id="scan"),
]


@pytest.mark.parametrize(("data", "words"), WRONG)
def test_what_can_not_be_read(data, words):
    with pytest.raises(BadRequest) as caught:
        pdf.pdf_text(data)
    assert str(caught.value) == f"the PDF {words}"


def test_a_password_is_told_from_an_unknown_encryption():
    found = []
    for data in (pdfs.locked(TWO, "secret"), pdfs.sealed(TWO)):
        with pytest.raises(pdf.Locked) as caught:
            pdf.pdf_text(data)
        found.append(caught.value.certain)
    assert found == [True, False]


def test_a_text_is_kept_as_long_as_it_is_in_use(monkeypatch):
    asked = []
    real = pdf._ask
    monkeypatch.setattr(pdf, "_ask", lambda data: asked.append(data) or real(data))
    monkeypatch.setattr(pdf, "KEEP", 2 * pdf.LEAST + 25)
    one, two, three = pdfs.pdf("one" * 3), pdfs.pdf("two" * 3), pdfs.pdf("3" * 9)
    for data in (one, two, one, three, one, two):
        pdf.pdf_text(data)
    assert asked == [one, two, three, two]


def test_what_can_not_be_read_is_not_tried_again(monkeypatch):
    asked = []
    real = pdf._ask
    monkeypatch.setattr(pdf, "_ask", lambda data: asked.append(data) or real(data))
    data = pdfs.locked(TWO, "secret")
    for _ in range(2):
        with pytest.raises(pdf.Locked):
            pdf.pdf_text(data)
    assert asked == [data]


def program(tmp_path, monkeypatch, text):
    (tmp_path / "p.py").write_text(text)
    monkeypatch.setattr(pdf, "PROGRAM", str(tmp_path / "p.py"))


@pytest.mark.parametrize("text", ["import sys; sys.exit(3)", "print('no json')", "import os; os.abort()"])
def test_a_process_that_fails_is_told(tmp_path, monkeypatch, text):
    program(tmp_path, monkeypatch, text)
    with pytest.raises(BadRequest, match=r"^the PDF could not be read; send its text$"):
        pdf.pdf_text(TWO)


def test_a_process_that_takes_too_long_is_ended(tmp_path, monkeypatch):
    program(tmp_path, monkeypatch, f"import os,time; open({str(tmp_path / 'pid')!r},'w').write(str(os.getpid())); time.sleep(60)")
    for seconds in (0.5, 4, 20):  # a busy machine may not have started it sooner
        monkeypatch.setattr(pdf, "SECONDS", seconds)
        began = time.monotonic()
        with pytest.raises(BadRequest, match=rf"^reading the PDF took longer than {seconds} seconds; send its text$"):
            pdf.pdf_text(TWO)
        assert time.monotonic() - began < 50
        if (tmp_path / "pid").exists():
            break
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_the_process_gets_no_secrets(tmp_path, monkeypatch):
    program(tmp_path, monkeypatch, "import json,os; print(json.dumps({'text': str(sorted(os.environ)), 'pages': 1, 'read': 1}))")
    monkeypatch.setenv("PROXY_API_KEY", "secret")
    monkeypatch.setenv("REFRESH_TOKEN", "secret")
    text = pdf.pdf_text(TWO)
    assert "PATH" in text
    assert "PROXY_API_KEY" not in text
    assert "REFRESH_TOKEN" not in text


def test_the_process_has_little_memory():
    code = "import resource; from kirogw import pdftext; pdftext.main(); print(resource.getrlimit(resource.RLIMIT_AS))"
    done = subprocess.run([sys.executable, "-c", code, "5", "100"], input=TWO, capture_output=True, check=True,
                          cwd=Path(pdf.__file__).parents[1])  # fmt: skip
    assert done.stdout.endswith(f"({pdftext.MEMORY}, {pdftext.MEMORY})\n".encode())


def test_a_lower_limit_of_the_system_is_left_as_it_is():
    command = ["sh", "-c", 'ulimit -v 900000; exec "$0" -P "$1" 5 100', sys.executable, pdf.PROGRAM]
    done = subprocess.run(command, input=TWO, capture_output=True, check=True)
    assert json.loads(done.stdout)["pages"] == 2


def test_the_worker_does_not_load_the_library():
    code = "import sys; from kirogw import attachments; print('pypdf' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=Path(pdf.__file__).parents[1])
    assert done.stdout == b"False\n"


def test_only_so_many_are_read_at_once(tmp_path, monkeypatch):
    program(tmp_path, monkeypatch, f"""
import glob, json, os, time
mine = {str(tmp_path)!r} + "/run-" + str(os.getpid())
open(mine, "w").close()
time.sleep(0.2)
running = len(glob.glob({str(tmp_path)!r} + "/run-*"))
os.remove(mine)
print(json.dumps({{"text": str(running), "pages": 1, "read": 1}}))
""")
    texts = []
    threads = [threading.Thread(target=lambda n=n: texts.append(pdf.pdf_text(pdfs.pdf(str(n))))) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(texts) == 5
    assert max(map(int, texts)) <= pdf.AT_ONCE


IN_GEVENT = """
from gevent import monkey
monkey.patch_all()
import sys, threading, time
from kirogw import pdf
ticks = []
def tick():
    while True:
        ticks.append(time.monotonic())
        time.sleep(0.01)
threading.Thread(target=tick, daemon=True).start()
time.sleep(0.05)
data = sys.stdin.buffer.read()
for n in range(10):  # the machine may be busy
    del ticks[:-1]
    began, text = time.monotonic(), pdf.pdf_text(data + b"\\n" * n)
    ended = time.monotonic()
    free = len(ticks) > 5 and max(b - a for a, b in zip(ticks, [*ticks[1:], ended])) < (ended - began) / 2
    if free:
        break
print(repr(text), free)
"""


def test_in_a_patched_process_nothing_else_stands_still():
    done = subprocess.run([sys.executable, "-c", IN_GEVENT], input=pdfs.pdf("hello"), capture_output=True, timeout=60,
                          cwd=Path(pdf.__file__).parents[1])  # fmt: skip
    assert (done.stdout, done.stderr) == (b"'hello' True\n", b"")

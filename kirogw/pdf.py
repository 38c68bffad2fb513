"""The text of PDFs, read in a process of its own (why: see pdftext) and remembered for as long as it is in use."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any, Final, TypeAlias

from kirogw.errors import BadRequest

PROGRAM: Final = str(Path(__file__).with_name("pdftext.py"))
PAGES: Final = 500
CHARACTERS: Final = 600_000  # no message may have more (kiro 3.9)
SECONDS: Final = 30.0
AT_ONCE: Final = 2  # processes
KEEP: Final = 4_000_000  # characters of all texts
LEAST: Final = 1000  # characters that any answer counts for
ENVIRONMENT: Final = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "LANG")  # no secret is among these


Answer: TypeAlias = dict[str, Any]
"""What pdftext writes."""


class Locked(BadRequest):
    """A PDF that is encrypted. `certain`: it takes a password; else it is encrypted in a way that we do not know."""

    certain = True


class _Answers:
    """Answers by the hash of their file, the newest KEEP characters of them: clients send a file with each turn again,
    and one that can not be read costs as much as any other.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, Answer] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: bytes) -> Answer | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: bytes, answer: Answer) -> None:
        with self._lock:
            self._kept[key] = answer
            while sum(_size(kept) for kept in self._kept.values()) > KEEP:
                self._kept.popitem(last=False)


def _size(answer: Answer) -> int:
    return LEAST + len(answer.get("text", ""))


_answers: Final = _Answers()
_free: Final = threading.BoundedSemaphore(AT_ONCE)


def pdf_text(data: bytes) -> str:
    """The text, with a note of what is missing. Raises BadRequest, without the name of the file; Locked is one."""
    key = hashlib.sha256(data).digest()
    answer = _answers.get(key)
    if answer is None:
        with _free:
            answer = _ask(data)
        _answers.put(key, answer)
    return _text(answer)


def _ask(data: bytes) -> Answer:
    """What the process says of the file. Raises BadRequest when it can not be asked, which another time it may be."""
    command = [sys.executable, "-P", PROGRAM, str(PAGES), str(CHARACTERS)]
    environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    try:
        done = subprocess.run(  # noqa: S603 - our own program, and the file goes in as data
            command, input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=SECONDS, env=environment,
            check=True,
        )  # fmt: skip
        answer: Answer = json.loads(done.stdout)
        return answer
    except subprocess.TimeoutExpired as error:
        raise BadRequest(f"reading the PDF took longer than {SECONDS:g} seconds; send its text") from error
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise BadRequest("the PDF could not be read; send its text") from error


def _text(answer: Answer) -> str:
    if answer.get("error") in ("locked", "sealed"):
        locked = Locked("the PDF is protected by a password; send it without one, or its text")
        locked.certain = answer["error"] == "locked"
        raise locked
    if "error" in answer:
        raise BadRequest(f"the PDF is broken ({answer['reason']}); send its text")
    if not answer["text"]:
        raise BadRequest("the PDF holds no text, only pictures; send its pages as images")
    left_out = answer["pages"] - answer["read"]
    note = f"\n\n[The last {left_out} of {answer['pages']} pages were left out: the document is too long.]"
    return str(answer["text"]) + (note if left_out else "")

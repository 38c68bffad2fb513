"""The text of a PDF, worked out in a process of its own: `python -P pdftext.py MOST_PAGES MOST_CHARACTERS < file`.

A PDF is a program of a stranger's making, and its reader pure Python: it may take minutes or gigabytes, and would stop
every other answer of a worker meanwhile. A process can be ended, may be given little memory, and holds no secrets.
Writes one JSON object: `text`, `pages` (how many there are) and `read` (how many of them are in the text); or `error`:
"locked" (a password is needed), "sealed" (it is encrypted in a way that pypdf does not know), or "broken", why is in
`reason`.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
from typing import Any, Final

import pypdf
from pypdf.errors import DependencyError, FileNotDecryptedError

if sys.platform != "win32":
    import resource

MEMORY: Final = 1 << 30  # bytes


class Locked(Exception):
    """A password is needed."""


class Unknown(Exception):
    """A kind of encryption that pypdf can not undo."""


def extract(data: bytes, most_pages: int, most_characters: int) -> dict[str, Any]:
    """The answer as described above. Never raises."""
    try:
        return _text(_opened(data), most_pages, most_characters)
    except (Locked, FileNotDecryptedError):
        return {"error": "locked"}
    except Unknown:
        return {"error": "sealed"}
    except MemoryError:
        return {"error": "broken", "reason": "it needs too much memory"}
    except Exception as error:  # whatever a stranger's bytes may lead to
        return {"error": "broken", "reason": type(error).__name__}


def _opened(data: bytes) -> pypdf.PdfReader:
    """Raises Locked or Unknown, or whatever a stranger's bytes may lead to."""
    try:
        reader = pypdf.PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise Locked
    except (DependencyError, NotImplementedError) as error:
        raise Unknown from error
    return reader


def _text(reader: pypdf.PdfReader, most_pages: int, most_characters: int) -> dict[str, Any]:
    texts: list[str] = []
    size, pages = 0, len(reader.pages)
    for page in reader.pages[:most_pages]:
        text = page.extract_text().strip()
        size += len(text)
        if size > most_characters:
            break
        texts.append(text)
    return {"text": "\n\n".join(filter(None, texts)), "pages": pages, "read": len(texts)}


def main() -> None:
    if sys.platform != "win32":
        with contextlib.suppress(OSError, ValueError):  # a sandbox forbids it, or has set a lower limit itself
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    logging.disable()
    answer = extract(sys.stdin.buffer.read(), int(sys.argv[1]), int(sys.argv[2]))
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()

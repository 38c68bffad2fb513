"""Files that hold secrets: written whole or not at all, and readable by their owner only."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Final

from kirogw.wire import Json

PRIVATE_FILE: Final = 0o600
PRIVATE_FOLDER: Final = 0o700
TRIES: Final = 4
STALE: Final = 60.0  # seconds: no writer takes so long
PAUSE: Final = 0.05  # seconds: a tool that writes a file in place is done by then


class Unreadable(Exception):
    """There is something, but it can not be understood or opened. The message is one line and names it."""


class Missing(Unreadable):
    """There is nothing."""


def is_file(path: Path) -> bool:
    """Whether there is a file that we may see."""
    try:
        return path.is_file()
    except OSError:  # it lies in a folder that we may not enter
        return False


def folder(path: Path) -> Path:
    """`path` as a folder that only its owner may enter; made when missing."""
    path.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
    if os.name == "posix" and path.stat().st_mode & 0o077:
        with contextlib.suppress(PermissionError):  # somebody else's: what is in it is 0600 all the same
            path.chmod(PRIVATE_FOLDER)
    return path


def replace(path: Path, data: bytes) -> None:
    """Put `data` in the place of the file's content, in one step that survives a crash: whoever reads sees the old or
    the new, and when this returns the new is on the disk. Links are followed; the owner stays. Raises OSError.
    """
    path = Path(os.path.realpath(path))
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".new", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            _keep_owner(path, file.fileno())
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
    sync_folder(path.parent)
    _sweep(path)


def replace_json(path: Path, members: Json) -> None:
    """As `replace`, with a JSON object as people and other programs read it."""
    replace(path, json.dumps(members, indent=2, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def _sweep(path: Path) -> None:
    """Take away what writers that were killed have left behind: there are secrets in it."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.new"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > STALE:
                left.unlink()


def _keep_owner(path: Path, handle: int) -> None:
    """A gateway that runs as root must not take a user's file away from the IDE."""
    if hasattr(os, "fchown"):
        with contextlib.suppress(OSError):
            was = path.stat()
            if was.st_uid != os.geteuid():
                os.fchown(handle, was.st_uid, was.st_gid)


def sync_folder(path: Path) -> None:
    """Put the folder's entries on the disk, where the system can."""
    if os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_json(path: Path, patient: bool = True) -> Json:
    """The JSON object in a file. One that is just being written is read again. Raises Missing or Unreadable."""
    fault = "is empty"
    for n in range(TRIES if patient else 1):
        if n:
            time.sleep(PAUSE)
        try:
            value = json.loads(path.read_text(encoding="utf-8-sig"))
        except FileNotFoundError:
            raise Missing(f"{path} does not exist") from None
        except OSError as error:
            raise Unreadable(f"{path} can not be read: {error.strerror or type(error).__name__}") from None
        except UnicodeDecodeError:
            fault = "is not text"
        except json.JSONDecodeError as error:
            fault = f"is not valid JSON (line {error.lineno}, column {error.colno})"
        except RecursionError:
            fault = "is nested too deeply"
        else:
            if isinstance(value, dict):
                return value
            fault = "holds no JSON object"
    raise Unreadable(f"{path} {fault}")

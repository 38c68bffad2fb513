"""What of this machine the gateway rests on: Python, files, disk, the store, its port, its service."""

from __future__ import annotations

import http.client
import importlib.util
import itertools
import json
import os
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from kirogw import __version__
from kirogw.auth import Logins
from kirogw.doctor.findings import Finding, Patient, fail, ok, warn
from kirogw.logins.files import Unreadable
from kirogw.settings import FIELDS, WrongSetting, read_env_file
from kirogw.store import StoreFailed, open_store, owner

OLDEST: Final = (3, 11)
NEEDED: Final = ("gevent", "flask", "requests", "urllib3", "orjson", "jsonschema", "pypdf", "cryptography", "segno")
MOST: Final = 2000  # files that are looked at
MEGABYTE: Final = 1 << 20
LITTLE: Final = 200 * MEGABYTE
NOTHING: Final = 20 * MEGABYTE
SLOW: Final = 0.5  # seconds in which a store should answer
UNIT: Final = "kirogw.service"
WAIT: Final = 5.0  # seconds for another process on this machine
STATES: Final = ("LoadState", "ActiveState", "UnitFileState", "Result")


def python(patient: Patient) -> Iterator[Finding]:
    version = ".".join(map(str, patient.python))
    if patient.python < OLDEST:
        yield fail("python", f"Python {version} is older than 3.11", "install Python 3.11 or newer, then `make venv`")
        return
    needed = (*NEEDED, "gunicorn") if os.name == "posix" else NEEDED
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        said = f"Python {version} lacks {', '.join(missing)}"
        yield fail("python", said, "make venv, or pip install -r requirements.txt")
    else:
        yield ok("python", f"Python {version}, kirogw {__version__}")


def home(patient: Patient) -> Iterator[Finding]:
    """KIROGW_HOME: whose it is, and who may look into it."""
    path = patient.home
    if not path.exists():
        yield ok("home", f"{path} did not exist; it is made now")
        return
    if not path.is_dir():
        patient.may_open = False
        yield fail("home", f"KIROGW_HOME is {path}, which is no folder", "set KIROGW_HOME to a folder")
        return
    if os.name != "posix":
        yield ok("home", str(path))
        return
    status = path.stat()
    if status.st_uid != os.geteuid():
        patient.may_open = False
        yield warn("home", f"{path} belongs to {_name(status.st_uid)}, so the rest of it was not looked at",
                   f"run this as {_name(status.st_uid)}, or set KIROGW_HOME")  # fmt: skip
        return
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        patient.may_open = False
        yield fail("home", f"{path} can not be written to", f"chmod 700 {path}; is its file system mounted read-only?")
        return
    is_open = bool(status.st_mode & 0o077)
    if is_open:
        yield fail("home", f"{path} can be entered by other users ({_mode(status)})", f"chmod 700 {path}")
    wrong = list(_not_private(path, is_open))
    yield from wrong
    if not wrong and not is_open:
        yield ok("home", f"{path} and what is in it are for {_name(os.geteuid())} only")


def _not_private(home: Path, is_open: bool) -> Iterator[Finding]:
    """Behind a closed folder a file that others may read is no hole yet."""
    level = fail if is_open else warn
    files = (path for path in home.rglob("*") if path.is_file() and not path.is_symlink())
    for path in itertools.islice(files, MOST):
        status = path.stat()
        if status.st_uid != os.geteuid():
            name = _name(os.geteuid())
            yield fail("home", f"{path} belongs to {_name(status.st_uid)}, not to {name}", f"chown {name} {path}")
        elif status.st_mode & 0o077:
            yield level("home", f"{path} can be read by other users ({_mode(status)})", f"chmod 600 {path}")


def env_file(patient: Patient) -> Iterator[Finding]:
    """The settings themselves were read before; here is only who else can read them."""
    path = Path(".env").absolute()
    try:
        names = read_env_file(path)
    except WrongSetting as error:
        yield fail("settings", str(error), "correct or remove that file")
        return
    secret = [field.name.upper() for field in FIELDS if field.metadata["secret"] and names.get(field.name.upper())]
    if secret and os.name == "posix" and path.stat().st_mode & 0o077:
        yield warn("settings", f"{path} holds {', '.join(secret)} and can be read by other users", f"chmod 600 {path}")
    else:
        yield ok("settings", f"can be read{f'; {path} is used' if names else ''}")


def disk(patient: Patient) -> Iterator[Finding]:
    path = next(path for path in (patient.home, *patient.home.absolute().parents) if path.exists())
    free = patient.free(path)
    said = f"{free / MEGABYTE:,.0f} MB are free where KIROGW_HOME is"
    if free < NOTHING:
        yield fail("disk", said, "make room: a renewed token that can not be written is lost")
    elif free < LITTLE:
        yield warn("disk", said, "make room soon: renewed tokens and figures of usage are written there")
    else:
        yield ok("disk", said)


def store(patient: Patient) -> Iterator[Finding]:
    """Opened, read and written. Its logins are for the looks to come."""
    if not patient.may_open:
        return
    began = time.monotonic()
    try:
        patient.store = opened = open_store(patient.settings)
        opened.mark(("account",))
        opened.lease("doctor", owner(), WAIT)
        opened.release("doctor", owner())
        took = time.monotonic() - began
        patient.logins = Logins(patient.settings, patient.transport.post, opened, home=patient.user)
        closed = patient.logins.safe.closed()
    except (StoreFailed, Unreadable, OSError) as error:
        hint = "is Redis running, and STATE_URL right?" if patient.settings.state_url else f"look at {patient.home}"
        yield fail("store", f"the store can not be used: {error}", hint)
        return
    if closed:
        yield fail("store", f"{closed} secrets in {opened.place} are sealed with a key that is not here",
                   "`kirogw.py secret --show-place` says where keys are looked for: bring it back")  # fmt: skip
    elif took > SLOW:
        yield warn("store", f"{opened.place} took {took:.1f} s to answer", "put it on a faster or a nearer machine")
    else:
        yield ok("store", f"{opened.place} can be read and written")


def port(patient: Patient) -> Iterator[Finding]:
    """Free, or a gateway of ours."""
    host, number = patient.settings.server_host, patient.settings.server_port
    place = f"{host}:{number}"
    if not number:
        yield ok("port", "the system chooses one at the start (SERVER_PORT=0)")
        return
    health = _health({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), number)
    if health is None:
        yield from _bindable(host, number, place)
    elif "answers_running" not in health:
        yield fail("port", f"{place} is taken by another program", "stop it, or set SERVER_PORT to another number")
    elif health.get("version") != __version__:
        yield warn("port", f"a gateway of version {health.get('version')} runs on {place}, and this is {__version__}",
                   "restart it")  # fmt: skip
    else:
        minutes = float(health.get("uptime_seconds") or 0) / 60
        yield ok("port", f"a gateway runs on {place}, for {minutes:,.0f} minutes")


def _health(host: str, number: int) -> dict[str, Any] | None:
    """What answers there says of itself: {} when it is none of ours, None when nothing listens."""
    connection = http.client.HTTPConnection(host, number, timeout=WAIT)
    try:
        connection.connect()
    except OSError:
        return None
    try:
        connection.request("GET", "/health")
        found = json.loads(connection.getresponse().read(65536))
    except (OSError, ValueError, http.client.HTTPException):
        return {}
    finally:
        connection.close()
    return found if isinstance(found, dict) else {}


def _bindable(host: str, number: int, place: str) -> Iterator[Finding]:
    try:
        family = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, number))
    except PermissionError:
        yield fail("port", f"{place} is not for ordinary users", "set SERVER_PORT to a number above 1023")
    except OSError as error:
        why = error.strerror or type(error).__name__
        yield fail("port", f"{place} can not be listened on: {why}", "set SERVER_HOST to an address of this machine")
    else:
        yield ok("port", f"{place} is free; no gateway runs there")


def service(patient: Patient) -> Iterator[Finding]:
    """The systemd unit, the system's or the user's, where systemd runs."""
    if not patient.systemd.is_dir() or not shutil.which("systemctl"):
        yield ok("service", "there is no systemd here")
        return
    for how in ((), ("--user",)):
        states = _unit(how)
        if states.get("LoadState") not in (None, "not-found"):
            yield _judged(states, " ".join(("systemctl", *how)), " ".join(("journalctl", *how)))
            return
    yield ok("service", f"{UNIT} is not installed (docs/operations.md tells how)")


def _unit(how: tuple[str, ...]) -> dict[str, str]:
    command = ["systemctl", *how, "show", UNIT, "--property", ",".join(STATES)]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=WAIT, check=False).stdout  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return dict(line.split("=", 1) for line in told.splitlines() if "=" in line)


def _judged(states: dict[str, str], systemctl: str, journalctl: str) -> Finding:
    active, enabled = states.get("ActiveState", ""), states.get("UnitFileState", "")
    if states["LoadState"] != "loaded":
        return fail("service", f"{UNIT} can not be loaded ({states['LoadState']})", f"{systemctl} edit --full {UNIT}")
    if active == "failed":
        said = f"{UNIT} has failed ({states.get('Result') or 'unknown'})"
        return fail("service", said, f"{journalctl} -u {UNIT} -n 50 tells why")
    if active != "active":
        return warn("service", f"{UNIT} is {active or 'not running'}", f"{systemctl} start {UNIT}")
    if enabled == "disabled":
        return warn("service", f"{UNIT} runs, but not after a restart of the machine", f"{systemctl} enable {UNIT}")
    return ok("service", f"{UNIT} runs")


def _mode(status: os.stat_result) -> str:
    return f"{stat.S_IMODE(status.st_mode):04o}"


def _name(uid: int) -> str:
    try:
        return str(importlib.import_module("pwd").getpwuid(uid).pw_name)
    except (ImportError, KeyError):
        return f"user {uid}"

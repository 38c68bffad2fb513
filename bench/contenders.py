"""Those that are compared: how each is started in front of the upstream, with one worker unless it says otherwise."""

from __future__ import annotations

import base64
import contextlib
import datetime
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Final

import bodies
import procs

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parent
OUT: Final = HERE / "out"
_BIN: Final = Path(sys.executable).parent
LEAN: Final = {  # as `make run` starts kirogw
    "PYTHONOPTIMIZE": "2", "PYTHONNODEBUGRANGES": "1", "PYTHONPYCACHEPREFIX": str(_BIN.parent / "lean"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Running:
    """Where a contender listens, and the process whose tree is its cost; None costs nothing (the upstream itself)."""

    port: int
    pid: int | None


# The upstream's port and a folder for its files -> the contender while the block runs.
Start = Callable[[int, Path], AbstractContextManager[Running]]
# The upstream's address, a folder for files and how many -> settings of kirogw.
Account = Callable[[str, Path, int], dict[str, str]]


@dataclass(frozen=True, slots=True)
class Contender:
    name: str
    faces: tuple[str, ...]
    start: Start
    workers: int = 1


class Missing(Exception):
    """A contender that this machine does not have, and why."""


@contextlib.contextmanager
def direct(upstream: int, home: Path) -> Iterator[Running]:
    yield Running(upstream, None)


_NGINX_CONF: Final = """
{user}
worker_processes 1;
worker_rlimit_nofile {files};
daemon off;
pid {home}/nginx.pid;
error_log stderr crit;
events {{ worker_connections {files}; }}
http {{
  access_log off;
  client_body_temp_path {home}/body;
  proxy_temp_path {home}/proxy;
  fastcgi_temp_path {home}/fastcgi;
  uwsgi_temp_path {home}/uwsgi;
  scgi_temp_path {home}/scgi;
  client_max_body_size 32m;
  client_body_buffer_size 256k;
  keepalive_requests 1000000;
  upstream kiro {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://kiro;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""


@lru_cache(maxsize=1)
def nginx_program() -> str:
    """The machine's own nginx, or Debian's package unpacked under bench/out/: nothing is installed or started by it."""
    unpacked = OUT / "nginx" / "usr" / "sbin" / "nginx"
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or (unpacked.exists() and unpacked)
    if found:
        return str(found)
    if shutil.which("apt-get") is None:
        raise Missing("nginx: not here, and no apt-get to fetch Debian's with")
    folder = OUT / "nginx"
    folder.mkdir(parents=True, exist_ok=True)
    if not _quietly(folder, "apt-get", "download", "nginx") and os.geteuid() == 0:
        _quietly(folder, "apt-get", "update")
        _quietly(folder, "apt-get", "download", "nginx")
    for package in folder.glob("nginx_*.deb"):
        _quietly(folder, "dpkg-deb", "-x", str(package), ".")
    if not unpacked.exists():
        raise Missing("nginx: not here, and `apt-get download nginx` did not get it")
    return str(unpacked)


def _quietly(folder: Path, *command: str) -> bool:
    done = subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)
    return done.returncode == 0


@contextlib.contextmanager
def nginx(upstream: int, home: Path) -> Iterator[Running]:
    port = procs.free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    conf = home / "nginx.conf"
    conf.write_text(_NGINX_CONF.format(user=user, files=16_000, home=home, upstream=upstream, port=port))
    command = [nginx_program(), "-e", "stderr", "-p", str(home), "-c", str(conf)]
    with procs.running(command, OUT / "nginx.log") as process:
        procs.wait_for(port, process)
        yield Running(port, process.pid)


@contextlib.contextmanager
def naive(upstream: int, home: Path) -> Iterator[Running]:
    port = procs.free_port()
    options = ["-k", "gevent", "-w", "1", "--worker-connections", "5000", "-b", f"127.0.0.1:{port}"]
    command = [str(_BIN / "gunicorn"), *options, "naive:app"]
    env = {**os.environ, "KIRO_URL": f"http://127.0.0.1:{upstream}/generateAssistantResponse"}
    with procs.running(command, OUT / "naive.log", cwd=HERE, env=env) as process:
        procs.wait_for(port, process)
        yield Running(port, process.pid)


def _kiro_account(url: str, home: Path, accounts: int) -> dict[str, str]:
    keys = ",".join(f"ksk_bench0123456789{n}" for n in range(accounts))
    return {"KIRO_API_KEY": keys, "KIRO_RUNTIME_URLS": url, "KIRO_CONTROL_URLS": url, "KIRO_AUTH_URL": url}


def _codex_account(url: str, home: Path, accounts: int) -> dict[str, str]:
    """As Codex CLI keeps its login, with tokens that last."""
    owner = {"chatgpt_account_id": "bench", "chatgpt_plan_type": "pro", "chatgpt_user_id": "user-bench"}
    told = {"exp": 4102444800, "email": "bench@example.com", "https://api.openai.com/auth": owner}
    token = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
                     for part in ({"alg": "none"}, told, "bench"))  # fmt: skip
    tokens = {"id_token": token, "access_token": token, "refresh_token": "rt_bench", "account_id": "bench"}
    login = home / "auth.json"
    made = {"auth_mode": "chatgpt", "tokens": tokens, "last_refresh": datetime.datetime.now(datetime.UTC).isoformat()}
    login.write_text(json.dumps(made))
    return {"CODEX_AUTH_FILE": str(login), "CODEX_API_URL": url, "CODEX_AUTH_URL": url, "OPENAI_API_URL": url}


def _kirogw_settings(home: Path, port: int, workers: int) -> dict[str, str]:
    """Without a limit of answers at once: what is measured is the gateway, not its patience."""
    return {
        "SERVER_HOST": "127.0.0.1", "SERVER_PORT": str(port), "SERVER_WORKERS": str(workers),
        "PROXY_API_KEY": bodies.KEY, "KIROGW_HOME": str(home), "HOME": str(home), "ACCOUNT_CONCURRENCY": "0",
    }


@contextlib.contextmanager
def kirogw(upstream: int, home: Path, workers: int = 1, accounts: int = 1, root: Path = ROOT,
           account: Account = _kiro_account) -> Iterator[Running]:  # fmt: skip
    """`root` is the checkout to run; `account` gives the settings of what it is to use."""
    port = procs.free_port()
    command = [str(_BIN / "gunicorn"), "-c", "gunicorn.conf.py", "kirogw:create_app()"]
    own = account(f"http://127.0.0.1:{upstream}", home, accounts)
    env = {**os.environ, **LEAN, **_kirogw_settings(home, port, workers), **own}
    with procs.running(command, OUT / "kirogw.log", cwd=root, env=env) as process:
        procs.wait_for(port, process)
        yield Running(port, process.pid)


BOTH: Final = ("messages", "chat")
ALL: Final = (*BOTH, "responses")
CONTENDERS: Final = (
    Contender("direct", ("kiro",), direct),
    Contender("nginx", ("kiro",), nginx),
    Contender("naive", BOTH, naive),
    Contender("kirogw", ALL, kirogw),
    Contender("codex", ALL, partial(kirogw, account=_codex_account)),  # kirogw again, with a ChatGPT account
)
TWO_WORKERS: Final = Contender("kirogw, 2 workers", ALL, partial(kirogw, workers=2), 2)


def available(names: list[str]) -> tuple[list[Contender], list[str]]:
    """Those of the names that can be run here, and what is to be said of the others."""
    chosen, notes = [], []
    for contender in CONTENDERS:
        if contender.name not in names:
            continue
        try:
            _look(contender.name)
        except Missing as missing:
            notes.append(str(missing))
        else:
            chosen.append(contender)
    return chosen, notes


def _look(name: str) -> None:
    """Raises Missing for a contender that is not here."""
    if name == "nginx":
        nginx_program()
    if name in ("kirogw", "codex") and not (ROOT / "gunicorn.conf.py").exists():
        raise Missing("kirogw: gunicorn.conf.py is not there")

"""One process of the races: it renews an account, over and over or once, in several threads at the same moment.

Small to import, since it is started hundreds of times, and apart from `races`, so that the fork server can load it.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kirogw import log
from kirogw.auth import Logins
from kirogw.errors import GatewayError, UpstreamFailed
from kirogw.settings import load
from kirogw.store import open_store
from kirogw.wire import Reply, Request

TIMEOUT = 60.0


def post(request: Request) -> Reply:
    """A connection a call, nothing shared."""
    parts = urlsplit(request.url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT)
    try:
        connection.request(request.method, parts.path, request.body, dict(request.headers))
        got = connection.getresponse()
        return Reply(got.status, {name.lower(): value for name, value in got.getheaders()}, got.read())
    except (OSError, http.client.HTTPException) as error:
        raise UpstreamFailed(f"no answer ({type(error).__name__})") from None
    finally:
        connection.close()


def logins(environ: dict[str, str]) -> Logins:
    """A gateway's; what it says goes to a file."""
    log.logger.handlers = [logging.FileHandler(Path(environ["KIROGW_HOME"]).parent / "log", delay=True)]
    log.logger.setLevel("DEBUG")
    settings = load({}, environ, None)
    return Logins(settings, post, open_store(settings), home=Path(environ["KIROGW_HOME"]))


def in_threads(count: int, work: Any) -> None:
    threads = [threading.Thread(target=work, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def race(environ: dict[str, str], account: str, threads: int, rounds: int, start: Any, report: Connection) -> None:
    """In each round all threads of all processes say at once that the token they have is spent. Sends what each got."""
    mine = logins(environ)
    got: list[list[str]] = [[] for _ in range(threads)]

    def run(n: int) -> None:
        token = mine.fresh(account).token
        for _ in range(rounds):
            start.wait(60)
            try:
                token = mine.renew(account, token).token
            except GatewayError as error:
                got[n].append(f"failed: {error}")
            else:
                got[n].append(token)

    in_threads(threads, run)
    report.send(got)


def renew_once(environ: dict[str, str], account: str, threads: int, spent: str) -> None:
    """What the kills fall upon."""
    mine = logins(environ)

    def run(n: int) -> None:
        with contextlib.suppress(GatewayError):  # the one that watches judges by what is on the disk
            mine.renew(account, spent)

    in_threads(threads, run)

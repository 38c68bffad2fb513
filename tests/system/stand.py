"""A gateway of its own for each question: the application in this process, behind a real socket, before a twin.

So an account that rests in one case is fresh in the next, and hundreds of cases take seconds.
"""

import contextlib
import logging
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import requests
from werkzeug.serving import WSGIRequestHandler, make_server

from kirogw import create_app, log
from kirogw.settings import load
from kirogw.twin import Twin
from tests.system import heard
from tests.system.running import KEY, environment
from tests.system.talk import MODEL, PATHS

USUAL = {"RETRY_PACE": 0.001, "LOG_LEVEL": "debug"}
MAKING = threading.Lock()  # werkzeug compiles its routes, and Python 3.11's ast module is not fit for two threads
LIMIT = 30  # seconds without a byte: the client calls that a hang
PARAMETERS = {"type": "object", "properties": {"path": {"type": "string"}, "content": {"type": "string"}}}
TOOLS = {
    "messages": [{"name": "write", "description": "Write a file.", "input_schema": PARAMETERS}],
    "chat": [{"type": "function", "function": {"name": "write", "description": "Write a file.", "parameters": PARAMETERS}}],
}


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_):
        pass


class Verdicts(logging.Handler):
    """Which rows of the decision table a request met, by its id; from the gateway's own log."""

    def __init__(self):
        super().__init__()
        self.met = defaultdict(list)

    def emit(self, record):
        fields = getattr(record, "fields", {})
        if "rule" in fields:
            self.met[fields["request"]].append(fields["rule"])

    @contextlib.contextmanager
    def listening(self):
        others, level, up = log.logger.handlers[:], log.logger.level, log.logger.propagate
        log.logger.handlers[:], log.logger.propagate = [self], False
        try:
            yield self
        finally:
            log.logger.handlers[:], log.logger.propagate = others, up
            log.logger.setLevel(level)


class Stand:
    """One gateway and one twin. `login` and `more` give settings, from the twin and the folder that is the home."""

    def __init__(self, verdicts, twin, home, login, more):
        self.verdicts, self.twin = verdicts, twin
        given = {**twin.settings(), **USUAL, **login(twin, home), **more(twin)}
        with MAKING:
            app = create_app(load(environ=environment(home, given), env_file=None))
        self.state = app.extensions["kirogw"]
        self._server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
        self.state.close()

    def ask(self, face, stream, agent="", tools=False):
        """One question, and what its client hears. Raises requests.Timeout for a hang."""
        before, began = len(self.twin.seen()), time.monotonic()
        seen = ask(self.url, face, stream, agent, tools)
        rules = tuple(self.verdicts.met[seen.headers["request-id"]])
        unheard = rules.count("connect") + rules.count("proxy")
        tries = len(self.twin.seen()) - before + unheard
        return replace(seen, seconds=time.monotonic() - began, tries=tries, rules=rules)


def ask(url, face, stream, agent="", tools=False):
    body = {"model": MODEL, "max_tokens": 1000, "stream": stream, "messages": [{"role": "user", "content": "Count."}]}
    headers = {"x-api-key": KEY, "User-Agent": agent or "tests"}
    body |= {"tools": TOOLS[face]} if tools else {}
    with requests.post(url + PATHS[face], json=body, headers=headers, stream=True, timeout=LIMIT) as reply:
        return heard.read(face, reply, reply.content)


@contextlib.contextmanager
def standing(verdicts, accounts, options, login, more):
    with tempfile.TemporaryDirectory(prefix="kirogw-test-") as folder, Twin(accounts=accounts, **options) as twin:
        stand = Stand(verdicts, twin, Path(folder), login, more)
        try:
            yield stand
        finally:
            stand.close()

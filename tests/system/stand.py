"""A gateway of its own for each question: the application in this process, behind a real socket, before a twin.

So an account that rests in one case is fresh in the next, and hundreds of cases take seconds.
"""

import contextlib
import itertools
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
from kirogw.dialects.codex import login as codex
from kirogw.dialects.credential import Credential
from kirogw.settings import load
from kirogw.twin import Twin
from kirogw.twin.codex import CodexTwin
from tests.system import heard
from tests.system.pauses import Pauses
from tests.system.running import KEY, environment
from tests.system.talk import MODEL, PATHS

PLACES = {**PATHS, "responses": "/v1/responses"}
USUAL = {"RETRY_PACE": 0.001, "LOG_LEVEL": "debug", "HEARTBEAT": 60, "CONNECT_TIMEOUT": 60, "RETRY_BUDGET": 600}
MAKING = threading.Lock()  # werkzeug compiles its routes, and Python 3.11's ast module is not fit for two threads
LIMIT = 120  # seconds without a byte: the client calls that a hang
HALF = b"three"  # what the client has heard before a pause in the middle of the text
BEATS = {
    # a sign of life in what a client has heard so far; the real Messages API sends a ping with the first block
    "messages": lambda data: data.count(b"event: ping") > data.count(b"event: content_block_start"),
    "chat": lambda data: b": ping" in data, "responses": lambda data: b"event: keepalive" in data,
}  # fmt: skip
PARAMETERS = {"type": "object", "properties": {"path": {"type": "string"}, "content": {"type": "string"}}}
TOOLS = {
    "messages": [{"name": "write", "description": "Write a file.", "input_schema": PARAMETERS}],
    "chat": [{"type": "function", "function": {"name": "write", "description": "Write a file.", "parameters": PARAMETERS}}],
    "responses": [{"type": "function", "name": "write", "description": "Write a file.", "parameters": PARAMETERS}],
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


def credential(account):
    """The login of a twin's account, as the gateway would keep it."""
    if account.kind == "api_key":
        return Credential("key", access=account.api_key)
    if account.kind in ("codex", "siwc"):
        tokens = {"access_token": account.access_token, "refresh_token": account.refresh_token, "id_token": account.id_token}
        return codex.with_tokens(Credential(account.kind, client_id=account.client_id), tokens, time.time())
    return Credential(account.kind, refresh=account.refresh_token)


def brought_in(*_):
    """A login: all accounts of all twins lie in the gateway's store, in their order."""
    return {}


class Stand:
    """One gateway before one twin or more. `login` and `more` give settings, from the first twin and the folder that is
    the home.
    """

    def __init__(self, verdicts, twin, home, login, more, *others):
        self.verdicts, self.twin, self.twins = verdicts, twin, (twin, *others)
        self.pauses = Pauses(*self.twins)
        given = {name: value for one in self.twins for name, value in one.settings().items()}
        given |= {**USUAL, **login(twin, home), **more(twin)}
        with MAKING:
            app = create_app(load(environ=environment(home, given), env_file=None))
        self.state = app.extensions["kirogw"]
        if login is brought_in:
            for one in self.twins:
                for account in one.accounts.all.values():
                    self.state.logins.add(credential(account))
        self._server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
        self.state.close()

    def ask(self, face, stream, agent="", tools=False, model=MODEL, beats=False):
        """One question, and what its client hears; `beats`: of a pause it hears signs of life. Raises requests.Timeout for
        a hang.
        """
        before, began = len(self.seen()), time.monotonic()
        seen = asked(self.pauses, self.url, face, stream, agent, tools, model, beats)
        rules = tuple(self.verdicts.met[seen.headers["request-id"]])
        unheard = rules.count("connect") + rules.count("proxy")
        tries = len(self.seen()) - before + unheard
        return replace(seen, seconds=time.monotonic() - began, tries=tries, rules=rules)

    def seen(self):
        """The questions that came to any twin, in the order in which they did."""
        return sorted(itertools.chain(*(twin.seen() for twin in self.twins)), key=lambda seen: seen.at)


def asked(pauses, url, face, stream, agent="", tools=False, model=MODEL, beats=False):
    """A stream goes on after a pause when its client has heard the words before it, or the signs of life within."""
    if not stream:
        return ask(url, face, stream, agent, tools, model)
    with pauses.until(BEATS[face] if beats else lambda data: HALF in data) as hear:
        return ask(url, face, stream, agent, tools, model, hear)


def ask(url, face, stream, agent="", tools=False, model=MODEL, hear=None):
    question = {"role": "user", "content": "Count."}
    body = {"model": model, "stream": stream}
    body |= {"max_output_tokens": 1000, "input": [question]} if face == "responses" else {"max_tokens": 1000, "messages": [question]}
    headers = {"x-api-key": KEY, "User-Agent": agent or "tests"}
    body |= {"tools": TOOLS[face]} if tools else {}
    with requests.post(url + PLACES[face], json=body, headers=headers, stream=True, timeout=LIMIT) as reply:
        data = b""
        for piece in reply.iter_content(None):
            data += piece
            if hear:
                hear(data)
        return heard.read(face, reply, data)


def kind_of(account):
    return account["kind"] if isinstance(account, dict) else account


@contextlib.contextmanager
def standing(verdicts, accounts, options, login, more):
    """`accounts` decide which twins there are, and in which order. `options` are those of the first."""
    twins = []
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="kirogw-test-"))
        for kind, group in itertools.groupby(accounts, key=lambda account: CodexTwin if kind_of(account) in ("codex", "siwc") else Twin):
            twins.append(stack.enter_context(kind(accounts=group, **({} if twins else options))))
        stand = Stand(verdicts, twins[0], Path(folder), login, more, *twins[1:])
        stack.callback(stand.close)
        yield stand

"""A gateway in this process, called as WSGI servers call it: no port, no worker, and so thousands of requests a test."""

import contextlib
import json
from dataclasses import dataclass
from io import BytesIO
from urllib.parse import urlsplit

from kirogw import create_app
from kirogw.settings import load
from tests.system.running import KEY, environment

ADDRESSES = ("KIRO_RUNTIME_URLS", "KIRO_CONTROL_URLS", "KIRO_AUTH_URL", "AWS_OIDC_URL")


def application(home, upstream, **settings):
    """Before whatever listens at the URL `upstream`, with an API key as its account."""
    given = {**dict.fromkeys(ADDRESSES, upstream), "KIRO_API_KEY": "ksk_test", "RETRY_PACE": 0, "LOG_LEVEL": "error"}
    return create_app(load(environ=environment(home, {**given, **settings}), env_file=None))


def before(twin, home, **settings):
    """Before the twin, whose first account is an API key or is given by `settings`."""
    return application(home, twin.url, **{"KIRO_API_KEY": twin.account.api_key, **settings})


def post(app, path, body, heard=None, headers=()):
    """(status, headers, data). `body`: bytes or JSON. `heard` gets each chunk as it comes."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    address, answer = urlsplit(path), []
    environ = {
        "REQUEST_METHOD": "POST", "SCRIPT_NAME": "", "PATH_INFO": address.path, "QUERY_STRING": address.query,
        "SERVER_NAME": "here", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(data), "CONTENT_LENGTH": str(len(data)), "CONTENT_TYPE": "application/json",
        "HTTP_X_API_KEY": KEY, **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in dict(headers).items()},
    }  # fmt: skip
    pieces = []
    chunks = app(environ, lambda status, given, _=None: answer.extend((int(status[:3]), dict(given))))
    with contextlib.closing(chunks):
        for chunk in chunks:
            pieces.append(chunk)
            if heard:
                heard(chunk)
    return *answer, b"".join(pieces)


@dataclass
class Reply:
    """As `requests` has it."""

    status_code: int
    headers: dict
    content: bytes

    def json(self):
        return json.loads(self.content)


@dataclass
class Inside:
    """To be asked like a gateway that runs elsewhere (running.Running)."""

    app: object

    def post(self, path, body, headers=None):
        return Reply(*post(self.app, path, body, headers=headers or ()))

"""Starting servers: gunicorn in this process, gevent's own where gunicorn can not run, and the demo upstream beside.

The imports inside functions are on purpose: gevent must patch the standard library before anything that opens sockets
is imported, and gunicorn does not import on Windows.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from kirogw import manual, store
from kirogw.logins import files, keys, sources
from kirogw.settings import Settings, WrongSetting, load, numbered, read_env_file

CONF: Final = Path(__file__).parent.parent / "gunicorn.conf.py"
MODEL: Final = "claude-sonnet-4.6"  # that the first lines to paste name
CHATGPTS_MODEL: Final = "gpt-5.6-terra"  # the same where all accounts are ChatGPT's
CHATGPTS: Final = ("codex-", "siwc-")  # how the ids of such accounts begin
SHARED: Final = "shared"  # in place of the ids in a store that is not asked


def run(settings: Settings) -> int:
    """Serve until stopped. Offers the demo upstream when a person starts this and there is no account."""
    _check_port(settings.server_host, settings.server_port)
    demo, new = None, _new_key(settings)
    accounts = [] if settings.demo else _accounts(settings)
    if not accounts:
        demo = start_demo()
        settings = load()
    model = CHATGPTS_MODEL if accounts and all(id.startswith(CHATGPTS) for id in accounts) else MODEL
    try:
        announcing = functools.partial(announce, settings, demo is not None, model if new else "")
        return _gunicorn(announcing) if os.name == "posix" else _pywsgi(settings, announcing)
    finally:
        if demo:
            demo.terminate()
            demo.wait(10)


def _check_port(host: str, port: int) -> None:
    """Raises WrongSetting when nobody can listen there. gunicorn would try for five seconds, and say it five times."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, _, _, address = found[0]
        with socket.socket(family, kind) as probe:
            if os.name == "posix":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise WrongSetting(
            f"SERVER_HOST {host} and SERVER_PORT {port} can not be listened on ({error.strerror or error}); stop what"
            " listens there, or choose another port with --port"
        ) from None


def _accounts(settings: Settings) -> list[str]:
    """The ids of the accounts that are found, else of those in the store. Who shares one with other machines is no
    beginner, and it is not asked: the client of Redis must not be loaded before gevent has patched.
    """
    found = [source.id for source in sources.find(settings, Path.home())]
    file = Path(settings.kirogw_home).expanduser() / store.FILE
    if found or settings.state_url or not file.exists():
        return found or ([SHARED] if settings.state_url else [])
    try:
        with contextlib.closing(store.open_store(settings)) as opened:
            return [id for id, doc in opened.all("account").items() if "login" in doc.value]
    except store.StoreFailed as error:
        raise WrongSetting(str(error)) from None


def client_key(settings: Settings) -> str:
    """The key that clients send: the one set, else the one kept in KIROGW_HOME, made now if there is none."""
    return settings.proxy_api_key or keys.read(Path(settings.kirogw_home).expanduser())


def admin_key(settings: Settings) -> str:
    """The key for administration, as the other."""
    return settings.admin_api_key or keys.read_admin(Path(settings.kirogw_home).expanduser())


def _new_key(settings: Settings) -> bool:
    """Whether this start is to make the key. Raises WrongSetting where the gateway can keep nothing."""
    home = Path(settings.kirogw_home).expanduser()
    try:
        return not keys.made(files.folder(home)) and not settings.proxy_api_key
    except OSError as error:
        raise WrongSetting(f"KIROGW_HOME is {str(home)!r}, but that can not be used: {error.strerror}") from None


def announce(settings: Settings, demo: bool, model: str, host: str, port: int) -> None:
    """What a person should know once we listen. A new key is shown, once, with lines to paste that name the `model`; it
    is "" where the key is not new.
    """
    key = client_key(settings)
    base = address(host, port)
    if demo:
        print("DEMO: the answers come from a built-in simulator, no model behind it. For the real one sign in with\n"
              "the Kiro IDE, kiro-cli or Codex CLI, or run `kirogw.py login kiro` or `kirogw.py login chatgpt`, and\n"
              "start again.")  # fmt: skip
    if model:
        print(manual.welcome(base, key, model))
    print(f"kirogw listens on {base}", flush=True)


def address(host: str, port: int) -> str:
    """Where this machine's own clients find what listens there."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def start_demo() -> subprocess.Popen[str]:
    """The twin as a process of its own, with this process' settings pointed at it."""
    command = [sys.executable, "-c", "from kirogw.twin import main; main()", "--accounts", "api_key", "--until-eof"]
    twin = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,  # noqa: S603
                            env={**os.environ, "PYTHONPATH": _root()})  # fmt: skip
    assert twin.stdout  # noqa: S101
    _, url, _, token = twin.stdout.readline().split()[:4]
    os.environ.update(
        DEMO="true", KIRO_RUNTIME_URLS=url, KIRO_CONTROL_URLS=url, KIRO_AUTH_URL=url, AWS_OIDC_URL=url,
        KIRO_PORTAL_URL=url, KIRO_API_KEY=token, VPN_PROXY_URL="", KIRO_CREDS_FILE="", KIRO_CLI_DB_FILE="",
        REFRESH_TOKEN="", CODEX_AUTH_FILE="", STATE_URL="",
        **dict.fromkeys(numbered({**read_env_file(".env"), **os.environ}), ""),
        no_proxy=",".join(filter(None, ["127.0.0.1", os.environ.get("no_proxy") or os.environ.get("NO_PROXY")])),
    )  # fmt: skip
    return twin


def _root() -> str:
    return os.pathsep.join(filter(None, [str(CONF.parent), os.environ.get("PYTHONPATH", "")]))


def _gunicorn(announcing: Callable[[str, int], None]) -> int:
    """gunicorn's arbiter in this process; it ends with SystemExit."""
    from gunicorn.app.wsgiapp import WSGIApplication

    class Application(WSGIApplication):
        def load_config(self) -> None:
            self.load_config_from_file(str(CONF))
            self.app_uri = self.cfg.wsgi_app
            self.cfg.set("when_ready", lambda server: announcing(*server.LISTENERS[0].getsockname()[:2]))

    sys.path.insert(0, str(CONF.parent))
    Application("kirogw", prog="kirogw").run()
    return 0


def _pywsgi(settings: Settings, announcing: Callable[[str, int], None]) -> int:
    """gevent's own WSGI server, in one process."""
    monkey = importlib.import_module("gevent.monkey")
    monkey.patch_all()
    pywsgi: Any = importlib.import_module("gevent.pywsgi")
    app = importlib.import_module("kirogw.web").create_app(settings)

    class Handler(pywsgi.WSGIHandler):
        def get_environ(self) -> Any:
            return {**super().get_environ(), "kirogw.socket": self.socket}  # to see whether the client is there

    server = pywsgi.WSGIServer((settings.server_host, settings.server_port), app, log=None, handler_class=Handler)
    server.start()
    announcing(settings.server_host, server.server_port)
    server.serve_forever()
    return 0


def run_twin(words: list[str]) -> int:
    main: Any = importlib.import_module("kirogw.twin").main
    return int(main(words) or 0)

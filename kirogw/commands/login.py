"""`login`: sign in to Kiro or ChatGPT from the command line, with a browser here or anywhere else."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import queue
import sys
import threading
import time
import webbrowser
from collections.abc import Iterator, Sequence
from typing import Any, Final, TextIO

import segno

from kirogw.auth import Logins
from kirogw.commands.tables import cell, complain, print_json, span
from kirogw.dialects.kiro import signin
from kirogw.errors import GatewayError
from kirogw.logins.callback import Listener, PortTaken, Said
from kirogw.logins.flows import said
from kirogw.logins.host import host_id
from kirogw.logins.walk import PATHS, Walk
from kirogw.logins.way import Flow
from kirogw.settings import load
from kirogw.store import open_store
from kirogw.transport import Transport
from kirogw.wire import Json

TICK: Final = 0.2  # seconds between two looks at what has come


def form() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        "kirogw.py login", description="Sign in to Kiro (without a choice, its page in the browser asks which way) or"
        " to ChatGPT: by Sign in with ChatGPT (chatgpt), or as the Codex client (codex).",
    )  # fmt: skip
    top.add_argument("provider", choices=["kiro", "chatgpt", "codex"], help="whose account")
    way = top.add_mutually_exclusive_group()
    way.add_argument("--builder-id", action="store_true", help="Kiro: an AWS Builder ID, by a code")
    way.add_argument("--idc", metavar="URL", help="Kiro: IAM Identity Center, by a code; the organisation's start URL")
    way.add_argument("--social", choices=sorted(signin.SOCIAL), help="Kiro: Google or GitHub, by a code")
    top.add_argument("--region", default="", help="region of the Identity Center, such as eu-west-1")
    how = top.add_mutually_exclusive_group()
    how.add_argument("--device", dest="how", action="store_const", const="device",
                     help="by a code (the default of --social)")  # fmt: skip
    how.add_argument("--browser", dest="how", action="store_const", const="browser",
                     help="by the page, which comes back to this machine (the default of codex)")  # fmt: skip
    how.add_argument("--link", dest="how", action="store_const", const="link",
                     help="with --social: by an older page, whose last address (kiro://...) is pasted")  # fmt: skip
    top.add_argument("--label", default="", help="a name for the account")
    top.add_argument("--account", default="", metavar="ID", help="renew this account's login, whoever signs in")
    top.add_argument("--no-browser", action="store_true", help="only print the address")
    top.add_argument("--no-qr", action="store_true", help="print no QR code")
    top.add_argument("--json", action="store_true", help="print what came of it as JSON")
    top.add_argument("--port", type=int, default=signin.PORT, help=argparse.SUPPRESS)  # the page takes no other
    return top


def run(words: Sequence[str]) -> int:
    top = form()
    args = top.parse_args(words)
    if args.idc and not args.region:
        top.error("--idc needs --region, the region of the Identity Center")
    if fault := _fault(args):
        top.error(fault)
    settings = load()
    transport = Transport(settings)
    try:
        with contextlib.closing(open_store(settings)) as store:
            logins = Logins(settings, transport.post, store)
            walk = Walk(settings, transport.post, logins.add, time.time, time.sleep, args.port,
                        host=lambda: host_id(store), known=logins.known)  # fmt: skip
            return _ended(_walked(Session(walk, walk.start(*wanted(args)), args), args), logins, args)
    finally:
        transport.close()


def _fault(args: argparse.Namespace) -> str:
    """What does not go together, "" for nothing."""
    if args.provider != "kiro" and (args.builder_id or args.idc or args.social):
        return "--builder-id, --idc and --social are ways to sign in to Kiro"
    if args.provider == "chatgpt" and args.how not in (None, "browser"):
        return "Sign in with ChatGPT works by the browser only; `login codex --device` takes a code"
    if args.provider == "codex" and args.how == "link":
        return "--link is a way to sign in to Kiro"
    if args.provider == "kiro" and args.how and not args.social:
        return "--device, --browser and --link go with --social"
    return ""


def wanted(args: argparse.Namespace) -> tuple[str, Json]:
    """The kind of sign-in and its parameters."""
    params: Json = {"label": args.label, "account": args.account}
    if args.provider != "kiro":
        return args.provider, {**params, "how": args.how or "browser"}
    if args.builder_id:
        return "builder-id", params
    if args.idc:
        return "idc", {**params, "start_url": args.idc, "region": args.region}
    if args.social:
        return "social", {**params, "provider": args.social, "how": args.how or "device"}
    return "portal", params


class Session:
    """One flow that two threads move: the one that waits, and the one that the browser comes back to."""

    def __init__(self, walk: Walk, flow: Flow, args: argparse.Namespace) -> None:
        self.walk, self.flow, self.args = walk, flow, args
        self.out: TextIO = sys.stderr if args.json else sys.stdout
        self._lock = threading.Lock()

    def came_back(self, url: str) -> Said:
        """Raises BadRequest for an address that is not ours."""
        with self._lock:
            self.flow, back = self.walk.arrived(self.flow, url)
            flow = self.flow
        flow = self.walk.exchanged(flow, back)
        if flow.step == "keep":
            flow = self.walk.finished(flow)
        self.flow = flow
        return said(flow)

    def moved(self, flow: Flow) -> bool:
        """Whether it was time for the next step."""
        with self._lock:
            if self.flow is not flow or not flow.due(time.time()):
                return False
            self.flow = self.walk.poll(flow)
            return True

    def say(self, text: str = "") -> None:
        print(text, file=self.out, flush=True)


def _walked(session: Session, args: argparse.Namespace) -> Flow:
    """The flow at its end. No port is held when this returns."""
    with _listening(session):
        lines = _typed() if session.flow.step == "browser" else None
        shown, notice = "", ""
        while not session.flow.over:
            flow = session.flow
            if flow.url != shown and flow.step in ("browser", "device"):
                _show(session, flow, args)
                shown = flow.url
            if flow.notice and flow.notice != notice:
                session.say(flow.notice)
            notice = flow.notice
            if lines is not None and flow.step == "browser":
                _paste(session, lines)
            if not session.moved(flow):
                time.sleep(TICK)
    return session.flow


@contextlib.contextmanager
def _listening(session: Session) -> Iterator[None]:
    """The page can come back to this machine, or is told that it can not."""
    listener = _listener(session) if session.flow.step == "browser" and session.flow.how == "browser" else None
    if listener:
        session.flow = session.walk.at(session.flow, listener.port)
    try:
        yield
    finally:
        if listener:
            listener.close()


def _listener(session: Session) -> Listener | None:
    """At the first port that can be had."""
    why = ""
    for port in session.walk.ports(session.flow):
        try:
            return Listener(port, session.came_back, lambda: True, PATHS)
        except PortTaken as error:
            why = why or str(error)
    session.say(why)
    return None


def _typed() -> queue.SimpleQueue[str]:
    """The lines of standard input, as they come."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in sys.stdin:
                lines.put(line.strip())

    threading.Thread(target=read, daemon=True).start()
    return lines


def _paste(session: Session, lines: queue.SimpleQueue[str]) -> None:
    with contextlib.suppress(queue.Empty):
        if line := lines.get_nowait():
            try:
                session.came_back(line)
            except GatewayError as error:
                session.say(str(error))


def _show(session: Session, flow: Flow, args: argparse.Namespace) -> None:
    opened = not args.no_browser and _open(flow.url)
    session.say("This page is opening in the browser:" if opened else "Open this page in a browser, on any machine:")
    session.say(f"\n    {flow.url}\n")
    if flow.code:
        session.say(f"It shows this code; compare it before you agree:\n\n    {flow.code}\n")
        if not args.no_qr:
            session.say(_qr(flow.url, session.out))
    if flow.step == "browser":
        session.say("If the browser ends at a page that can not be opened, paste its whole address here.")
    session.say(f"Waiting for {span(flow.ends_at - time.time())}; Ctrl-C gives up.")


def _open(url: str) -> bool:
    """Whether a browser takes it. Without a screen there is none but those that would take over the terminal."""
    screen = sys.platform in ("win32", "darwin") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    try:
        return bool(screen or os.environ.get("BROWSER")) and webbrowser.open(url)
    except (webbrowser.Error, OSError):
        return False


def _qr(url: str, out: TextIO) -> str:
    """For the camera of a phone, in half blocks; "" where the terminal has none."""
    drawn = io.StringIO()
    code: Any = segno.make(url, error="l", micro=False)
    code.terminal(drawn, border=2, compact=True)
    try:
        drawn.getvalue().encode(out.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ""
    return drawn.getvalue()


def _ended(flow: Flow, logins: Logins, args: argparse.Namespace) -> int:
    if args.json:
        print_json(flow.shown())
    if flow.step != "done":
        complain(flow.reason)
        return 1
    logins.fresh(flow.account)  # as a request would: kept, opened again, and living
    if not args.json:
        print(f"Signed in: {cell(flow.who)} (account {flow.account})\n{cell(flow.reason)}")
    return 0

"""Sign-ins that are driven from outside, one short request at a time: the admin API's.

Whoever is asked does the next step, so any worker of any machine can answer: a flow lies in the store, sealed, and goes
away by itself. Of two who are asked at once, one does it. Only the port that the browser comes back to belongs to the
process where the login began; the address can be pasted anywhere.
"""

from __future__ import annotations

import functools
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, Protocol

from kirogw.dialects.credential import Credential
from kirogw.dialects.signin import Callback
from kirogw.errors import Busy, GatewayError, NotFound
from kirogw.log import logger
from kirogw.logins.callback import Listener, PortTaken, Said
from kirogw.logins.host import host_id
from kirogw.logins.redeem import Post
from kirogw.logins.walk import PATHS, Add, Walk, unknown
from kirogw.logins.way import Flow
from kirogw.settings import Settings
from kirogw.store import Conflict, Store, StoreFailed
from kirogw.wire import Json

KIND: Final = "signin"
KEPT: Final = 900.0  # seconds for which the end of a flow can be asked for
MOST: Final = 50  # flows at once
CLAIM: Final = 90.0  # seconds that a step may take; then another may do it


def pause(seconds: float) -> None:
    time.sleep(seconds)  # looked up late: gevent may have put its own there


class Sealer(Protocol):
    def seal(self, data: bytes) -> str: ...

    def open(self, sealed: str) -> bytes: ...


class Flows:
    """Safe for all threads."""

    def __init__(self, settings: Settings, post: Post, store: Store, seal: Sealer, add: Add, *,
                 now: Callable[[], float] = time.time, sleep: Callable[[float], None] = pause,
                 port: int = 0, known: Callable[[str], Credential | None] = unknown) -> None:  # fmt: skip
        self._walk = Walk(settings, post, add, now, sleep, port, host=lambda: host_id(store), known=known)
        self._store, self._seal, self._now = store, seal, now
        self._listeners: dict[int, Listener] = {}  # by the port that was wanted; 0: any
        self._lock = threading.Lock()

    # what the API calls; each gives `Flow.shown()`

    def start(self, kind: str, params: Mapping[str, Any]) -> Json:
        """Kinds and params: `Walk.start`. Raises BadRequest, and Busy when too many are on their way."""
        if sum(not flow.over for flow in self._all()) >= MOST:
            raise Busy("too many sign-ins are on their way; end or cancel one", wait=60.0)
        flow = self._walk.start(kind, params)
        flow, version = self._put(flow, 0)
        if flow.step == "browser" and flow.how == "browser":
            port, taken = self._listen(flow)
            if taken or port != flow.port:
                flow = self._put(replace(self._walk.at(flow, port or flow.port), notice=taken), version)[0]
        return flow.shown()

    def state(self, id: str) -> Json:
        """How it stands, after the next step if that is due. Raises NotFound."""
        flow, version = self._get(id)
        now = self._now()
        if not flow.due(now):
            return flow.shown()
        if (claimed := self._claim(replace(flow, claimed=now + CLAIM), version)) is None:
            return self._get(id)[0].shown()  # somebody else is at it
        return self._step(self._walk.poll(flow), claimed).shown()

    def paste(self, id: str, url: str) -> Json:
        """The address that the browser ended at. Raises BadRequest when it is not this flow's; that goes on then."""
        flow, version = self._get(id)
        return self._arrived(flow, version, *self._walk.arrived(flow, url)).shown()

    def cancel(self, id: str) -> Json:
        """Raises NotFound."""
        while True:
            flow, version = self._get(id)
            ended = self._walk.cancelled(flow)
            if ended is flow or self._claim(ended, version) is not None:
                return ended.shown()

    def close(self) -> None:
        """The process ends: its ports are free when this returns. The flows go on elsewhere."""
        with self._lock:
            listeners, self._listeners = self._listeners, {}
        for listener in listeners.values():
            listener.close()

    # steps

    def _arrived(self, flow: Flow, version: int, moved: Flow, back: Callback) -> Flow:
        """The code is sent by who could write that it does so; a browser likes to call twice."""
        claimed = self._claim(moved, version)
        return self._get(flow.id)[0] if claimed is None else self._step(self._walk.exchanged(moved, back), claimed)

    def _step(self, flow: Flow, version: int) -> Flow:
        """Keep what came, then go on if that can be done at once. A login is in the store before it is anything else.

        If somebody cancelled meanwhile, that holds.
        """
        now = self._now()
        came = flow.step == "keep" and flow.due(now)
        flow, version = self._put(replace(flow, claimed=now + CLAIM if came else 0.0), version)
        if not came or not version:
            return flow
        return self._put(replace(self._walk.finished(flow), claimed=0.0), version)[0]

    def _claim(self, flow: Flow, version: int) -> int | None:
        return self._put(flow, version)[1] or None

    # the store

    def _put(self, flow: Flow, version: int) -> tuple[Flow, int]:
        """The flow and its new version; what lies there, and version 0, when somebody else was faster."""
        sealed = self._seal.seal(json.dumps(flow.as_json()).encode())
        ttl = max(flow.ends_at - self._now(), 0.0) + KEPT
        try:
            return flow, self._store.put(KIND, flow.id, {"flow": sealed}, if_version=version, ttl=ttl)
        except Conflict:
            return self._get(flow.id)[0], 0

    def _get(self, id: str) -> tuple[Flow, int]:
        doc = self._store.get(KIND, id)
        flow = self._opened(doc.value) if doc else None
        if doc is None or flow is None:
            raise NotFound("there is no such login on its way any more; start it again")
        return flow, doc.version

    def _all(self) -> list[Flow]:
        opened = (self._opened(doc.value) for doc in self._store.all(KIND).values())
        now = self._now()
        return [flow for flow in opened if flow is not None and now < flow.ends_at]

    def _opened(self, value: Json) -> Flow | None:
        """None for what another version or another key has written."""
        try:
            return Flow.of(json.loads(self._seal.open(str(value.get("flow")))))
        except Exception:
            logger.debug("a sign-in in the store can not be read")
            return None

    # the port

    def _listen(self, flow: Flow) -> tuple[int, str]:
        """The port of this machine that the browser can come back to; 0, and why it can not do so by itself."""
        taken = ""
        with self._lock:
            for wanted in self._walk.ports(flow):
                try:
                    return self._opened_port(wanted), ""
                except PortTaken as error:
                    taken = taken or str(error)
                if wanted and self._is_served(wanted, flow):
                    return wanted, ""
        return 0, taken

    def _opened_port(self, wanted: int) -> int:
        known = self._listeners.get(wanted)
        if known and known.hold():
            return known.port
        if known:
            known.close()  # one of its two addresses may still be taken
        made = Listener(wanted, self._came_back, functools.partial(self._wanted, wanted), PATHS)
        self._listeners[wanted] = made
        return made.port

    def _is_served(self, port: int, mine: Flow) -> bool:
        """Whether another worker has the port: it serves all flows."""
        return any(flow.step == "browser" and flow.port == port and not flow.notice and flow.id != mine.id
                   for flow in self._all())  # fmt: skip

    def _came_back(self, target: str) -> Said:
        """The browser is here with an address: whose is it?"""
        fault: GatewayError = NotFound("This login is not waited for any more. Start it again.")
        for flow in self._all():
            if flow.step in ("browser", "exchange") and flow.how == "browser":
                try:
                    moved, back = self._walk.arrived(replace(flow, step="browser"), target)
                except GatewayError as error:
                    fault = error
                    continue
                if flow.step == "exchange":
                    return Said("One moment", "This login is being finished already.")
                return said(self._arrived(flow, self._get(flow.id)[1], moved, back))
        raise fault

    def _wanted(self, port: int) -> bool:
        try:
            return any(flow.how == "browser" and flow.step in ("browser", "exchange")
                       and port in self._walk.ports(flow) for flow in self._all())  # fmt: skip
        except StoreFailed:
            return True


def said(flow: Flow) -> Said:
    """What the page in the browser tells of a flow that its address has moved."""
    if flow.step == "done":
        return Said("Signed in", f"{flow.who}: you can close this page.")
    if flow.step == "device":
        return Said("One more step", f"Open this page and compare the code: {flow.code}", link=flow.url)
    if flow.step in ("keep", "exchange"):
        return Said("Nearly there", f"The gateway goes on by itself. {flow.notice}")
    return Said("This did not work", flow.reason or "The login goes on elsewhere.", 400)

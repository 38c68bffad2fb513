"""Models: what each account's upstream offers, kept for a while, with a built-in table for when it does not say.

With a store, what one process has read is known to all of them.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import orjson

from kirogw import log
from kirogw.dialects.dialect import Login, Model
from kirogw.dialects.kiro import models as kiro
from kirogw.dialects.kiro.request import Shape
from kirogw.settings import Settings
from kirogw.store import StoreFailed
from kirogw.store.sync import Sync
from kirogw.wire import Json, Reply, Request

AGAIN: Final = 60.0  # seconds until a catalogue that could not be read is asked for again
PAGES: Final = 20
LIMIT: Final = 10.0  # seconds of silence from a control host
KIND: Final = "catalogue"
AHEAD: Final = 0.8  # part of a list's life after which the background reads it anew, before anybody notices


@dataclass(slots=True)
class _Kept:
    models: tuple[Model, ...]
    until: float  # monotonic
    live: bool
    at: float = 0.0  # when the upstream told it, epoch


class Catalog:
    """The catalogues of all accounts of this process. `call` raises any exception when there is no answer."""

    def __init__(self, settings: Settings, call: Callable[[Request, float], Reply], sync: Sync | None = None) -> None:
        self._settings, self._call, self._sync = settings, call, sync
        self._shape = Shape.of(settings)
        self._kept: dict[str, _Kept] = {}
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        if sync:
            sync.watch(KIND, self.look)

    def models(self, account: str, login: Callable[[], Login]) -> Sequence[Model]:
        """The account's models. Waits for the upstream only the first time; later a stale list serves until the new
        one is here. A failure never loses a list."""
        kept = self._kept.get(account)
        if kept is None:
            with self._locks[account]:
                return (self._kept.get(account) or self._shared(account) or self._read(account, login)).models
        if time.monotonic() >= kept.until:
            kept.until = time.monotonic() + AGAIN
            threading.Thread(target=self._read, args=(account, login), daemon=True, name="catalog").start()
        return kept.models

    def keep_fresh(self, account: str, login: Callable[[], Login]) -> None:
        """Read the account's list anew if it will be old soon; in the background."""
        kept = self._kept.get(account)
        if not kept or time.monotonic() >= kept.until - (1 - AHEAD) * self._settings.model_cache_seconds * kept.live:
            with self._locks[account]:
                if self._kept.get(account) is kept:
                    self._read(account, login)

    def look(self) -> None:
        """Take over what other processes have read. Raises StoreFailed."""
        for account, doc in (self._sync.store.all(KIND) if self._sync else {}).items():
            self._take(account, doc.value)

    def _shared(self, account: str) -> _Kept | None:
        """What another process has read; looked for when this one knows nothing yet."""
        try:
            doc = self._sync.store.get(KIND, account) if self._sync else None
        except StoreFailed:
            return None
        return self._take(account, doc.value) if doc else None

    def _take(self, account: str, value: Json) -> _Kept | None:
        old = self._kept.get(account)
        try:
            models, at = tuple(Model(**row) for row in value["models"]), float(value["at"])
        except (TypeError, ValueError, KeyError):  # another version wrote it
            return old
        if not old or at > old.at:
            left = self._settings.model_cache_seconds - max(0.0, time.time() - at)
            old = self._kept[account] = _Kept(models, time.monotonic() + left, True, at)
        return old

    def known(self) -> list[Model]:
        """All models of all accounts that were read so far, each once; the built-in table before."""
        merged: dict[str, Model] = {}
        for kept in list(self._kept.values()):
            for model in kept.models:
                merged.setdefault(model.id, model)
        return list(merged.values()) or list(kiro.FALLBACK)

    def resolve(self, name: str, models: Sequence[Model]) -> kiro.Target:
        return kiro.resolve(name, models, self._settings.aliases)

    def _read(self, account: str, login: Callable[[], Login]) -> _Kept:
        now = time.monotonic()
        try:
            models = self._fetch(login())
            kept = _Kept(tuple(models), now + self._settings.model_cache_seconds, True, time.time())
            if self._sync:
                self._sync.put(KIND, account, {"models": [asdict(model) for model in models], "at": kept.at})
        except Exception as error:
            log.logger.warning("the list of models could not be read, an older one serves: %s", error)
            old = self._kept.get(account)
            kept = _Kept(old.models if old else kiro.FALLBACK, now + AGAIN, False, old.at if old else 0.0)
        self._kept[account] = kept
        return kept

    def _fetch(self, login: Login) -> list[Model]:
        failure: Exception | None = None
        for template in self._settings.kiro_control_urls:
            try:
                return self._pages(login, template.format(region=login.region))
            except Exception as error:
                failure = failure or error
        raise failure or LookupError("no control host is set")

    def _pages(self, login: Login, base: str) -> list[Model]:
        models: list[Model] = []
        token = ""
        for _ in range(PAGES):
            reply = self._call(kiro.list_request(login, base, self._shape, token), LIMIT)
            if reply.status != 200:
                raise LookupError(f"the control host answered {reply.status}")
            body = orjson.loads(reply.body)
            models += kiro.read_models(body)
            token = body.get("nextToken") or ""
            if not token:
                break
        if not models:
            raise LookupError("the list of models is empty")
        return models

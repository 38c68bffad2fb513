"""Models: what each account's upstream offers, kept for a while, with a built-in table for when it does not say.

With a store, what one process has read is known to all of them.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from kirogw import log
from kirogw.convert import Providers
from kirogw.dialects.provider import Login, Model, Provider
from kirogw.settings import Settings
from kirogw.store import StoreFailed
from kirogw.store.sync import Sync
from kirogw.wire import Json, Reply, Request

AGAIN: Final = 60.0  # seconds until a catalogue that could not be read is asked for again
PAGES: Final = 20
LIMIT: Final = 10.0  # seconds of silence from a control host
KIND: Final = "catalogue"
ABREAST: Final = 16  # accounts whose lists are read at once
AHEAD: Final = 0.8  # part of a list's life after which the background reads it anew, before anybody notices


@dataclass(slots=True)
class _Kept:
    provider: str
    models: tuple[Model, ...]
    until: float  # monotonic
    live: bool
    at: float = 0.0  # when the upstream told it, epoch


class Catalog:
    """The catalogues of all accounts of this process. `call` raises any exception when there is no answer."""

    def __init__(self, settings: Settings, providers: Providers, call: Callable[[Request, float], Reply],
                 sync: Sync | None = None) -> None:  # fmt: skip
        self._settings, self._providers, self._call, self._sync = settings, providers, call, sync
        self._kept: dict[str, _Kept] = {}
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self.version = 0  # another one whenever a list is another
        if sync:
            sync.watch(KIND, self.look)

    def models(self, account: str, login: Callable[[], Login], kind: str = "") -> Sequence[Model]:
        """The account's models. Waits for the upstream only the first time; later a stale list serves until the new
        one is here. A failure never loses a list. `kind`: of its login, for when there is none.
        """
        kept = self._kept.get(account)
        if kept is None:
            with self._locks[account]:
                return (self._kept.get(account) or self._shared(account) or self._read(account, login, kind)).models
        if time.monotonic() >= kept.until:
            kept.until = time.monotonic() + AGAIN
            threading.Thread(target=self._read, args=(account, login, kind), daemon=True, name="catalog").start()
        return kept.models

    def read_all(self, accounts: Iterable[tuple[str, Callable[[], Login], str]]) -> None:
        """`models` of each of them. Those that are not known yet are read side by side: a service that does not answer
        is waited for once, not once for each of its accounts.
        """
        unknown: list[tuple[str, Callable[[], Login], str]] = []
        for one in accounts:
            if one[0] in self._kept:
                self.models(*one)
            else:
                unknown.append(one)
        if unknown:
            with ThreadPoolExecutor(ABREAST, "catalog") as readers:
                list(readers.map(lambda one: self.models(*one), unknown))

    def keep_fresh(self, account: str, login: Callable[[], Login], kind: str = "") -> None:
        """Read the account's list anew if it will be old soon; in the background."""
        kept = self._kept.get(account)
        if not kept or time.monotonic() >= kept.until - (1 - AHEAD) * self._settings.model_cache_seconds * kept.live:
            with self._locks[account]:
                if self._kept.get(account) is kept:
                    self._read(account, login, kind)

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
            models, at = tuple(_model(**row) for row in value["models"]), float(value["at"])
            provider = self._providers.all[value["provider"]].name
        except (TypeError, ValueError, KeyError):  # another version wrote it
            return old
        if not old or at > old.at:
            left = self._settings.model_cache_seconds - max(0.0, time.time() - at)
            old = self._keep(account, _Kept(provider, models, time.monotonic() + left, True, at))
        return old

    def _keep(self, account: str, kept: _Kept) -> _Kept:
        old = self._kept.get(account)
        self._kept[account] = kept
        if old is None or old.models != kept.models:
            self.version += 1
        return kept

    def known(self, provider: str, accounts: Container[str]) -> Sequence[Model]:
        """All models of these accounts of a provider that were read so far, each once; the built-in table before."""
        mine = [kept for id, kept in list(self._kept.items()) if kept.provider == provider and id in accounts]
        merged: dict[str, Model] = {}
        for kept in mine:
            for model in kept.models if kept.at else ():
                merged.setdefault(model.id, model)
        return tuple(merged.values()) or self._providers.all[provider].fallback

    def _read(self, account: str, login: Callable[[], Login], kind: str) -> _Kept:
        now, provider = time.monotonic(), self._providers.of(kind)
        try:
            fresh = login()
            provider = self._providers.of(fresh.kind)
            models = self._fetch(provider, fresh)
            kept = _Kept(provider.name, tuple(models), now + self._settings.model_cache_seconds, True, time.time())
            if self._sync:
                rows = [asdict(model) for model in models]
                self._sync.put(KIND, account, {"provider": provider.name, "models": rows, "at": kept.at})
        except Exception as error:
            log.logger.warning("the list of models could not be read, an older one serves: %s", error)
            old = self._kept.get(account)
            before = old or _Kept(provider.name, provider.fallback, 0.0, False)
            kept = replace(before, until=now + AGAIN, live=False)
        return self._keep(account, kept)

    def _fetch(self, provider: Provider, login: Login) -> list[Model]:
        failure: Exception | None = None
        for host in provider.list_hosts(login):
            try:
                return self._pages(provider, login, host)
            except Exception as error:
                failure = failure or error
        raise failure or LookupError("no control host is set")

    def _pages(self, provider: Provider, login: Login, host: str) -> list[Model]:
        models: list[Model] = []
        page = ""
        for _ in range(PAGES):
            rows, page = provider.read_list(self._call(provider.list_request(login, host, page), LIMIT))
            models += rows
            if not page:
                break
        if not models:
            raise LookupError("the list of models is empty")
        return models


def _model(efforts: Sequence[str] = (), **members: Any) -> Model:
    """As the store gives it back: JSON has no tuples."""
    return Model(efforts=tuple(efforts), **members)

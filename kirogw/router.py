"""Which accounts may serve a model's name: what names mean (`routing`), by the catalogues and the accounts of now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from typing import Final, TypeVar

from kirogw.catalog import Catalog
from kirogw.convert import Providers
from kirogw.dialects.listing import Listed
from kirogw.dialects.provider import Model, Provider, Target
from kirogw.pool import Account, Pool
from kirogw.routing import LONGEST, Offer, Offers, Route, Rules, listed, routes
from kirogw.settings import Settings

REMEMBERED: Final = 2048  # names
K = TypeVar("K")
V = TypeVar("V")


@dataclass(slots=True)
class _Now:
    """What holds until an account or a catalogue is another."""

    version: tuple[int, int]
    accounts: dict[str, frozenset[str]]  # by provider, those that are switched on
    offers: Offers
    known: dict[tuple[str, Rules | None], tuple[Route, ...]]
    whose: dict[frozenset[str], frozenset[str]]
    targets: dict[tuple[str, str], tuple[Sequence[Model], Target]]  # by account and name, with the list that it is of


class Router:
    """One for all threads. A name is looked into once, until an account or a catalogue is another."""

    def __init__(self, settings: Settings, providers: Providers, catalog: Catalog, pool: Pool) -> None:
        self._providers, self._catalog, self._pool = providers, catalog, pool
        self._hidden = frozenset(settings.hidden_models)
        self._rules = Rules(settings.model_aliases, settings.model_fallbacks)
        self._kept: _Now | None = None

    def routes(self, name: str, own: Rules | None = None) -> tuple[Route, ...]:
        """What `name` means, and what is asked after it, in this order. `own`: the rules of the caller's key."""
        now = self._now()
        found = now.known.get((name, own))
        if found is None:
            found = routes(name, now.offers, (own, self._rules) if own else (self._rules,))
            if len(name) <= LONGEST:
                _keep(now.known, (name, own), found)
        return found

    def target(self, route: Route, account: Account, models: Sequence[Model]) -> Target:
        """What the route means at an account that has these models."""
        targets, key = self._now().targets, (account.id, route.name)
        kept = targets.get(key)
        if kept and kept[0] is models:
            return kept[1]
        target = self._providers.of(account.kind).resolve(route.name, models)
        if len(route.name) <= LONGEST:
            _keep(targets, key, (models, target))
        return target

    def only(self, route: Route, only: Set[str] | None) -> Set[str] | None:
        """The accounts of `only` (None: all) that may serve the route, by their ids; None for all."""
        now = self._now()
        if not now.accounts or route.providers >= now.accounts.keys():
            return only
        mine = now.whose.get(route.providers)
        if mine is None:
            rows = (ids for provider, ids in now.accounts.items() if provider in route.providers)
            mine = now.whose[route.providers] = frozenset().union(*rows)
        return mine if only is None else mine & only

    def of(self, provider: str) -> frozenset[str]:
        """The provider's accounts that are switched on."""
        return self._now().accounts.get(provider, frozenset())

    def serving(self, routes: Iterable[Route]) -> list[Provider]:
        """The providers that may serve one of them and have an account that is switched on; the first of all where no
        provider has one. Never empty.
        """
        accounts, names = self._now().accounts, frozenset().union(*(route.providers for route in routes))
        found = [provider for name, provider in self._providers.all.items() if name in names and name in accounts]
        return found or [self._providers.of("")]

    def listed(self, own: Rules | None = None, *, every: bool = False, spellings: bool = True) -> list[Listed]:
        """What a list shows; with `every`, what is hidden too. See routing.listed."""
        rules: Sequence[Rules] = (own, self._rules) if own else (self._rules,)
        return listed(self._now().offers, rules, self._hidden, every=every, spellings=spellings)

    def _now(self) -> _Now:
        version = self._pool.version, self._catalog.version
        now = self._kept
        if now is None or now.version != version:
            now = self._kept = self._looked(version)
        return now

    def _looked(self, version: tuple[int, int]) -> _Now:
        accounts: dict[str, frozenset[str]] = {}
        enabled = [one for one in self._pool.all() if one.enabled]
        for name, provider in self._providers.all.items():
            mine = frozenset(one.id for one in enabled if self._providers.of(one.kind) is provider)
            if mine:
                accounts[name] = mine
        names = accounts or [self._providers.of("").name]
        offers = {name: Offer(self._providers.all[name].resolve, self._models(name, accounts)) for name in names}
        return _Now(version, accounts, offers, {}, {}, {})

    def _models(self, provider: str, accounts: dict[str, frozenset[str]]) -> Sequence[Model]:
        return self._catalog.known(provider, accounts.get(provider, frozenset()))


def _keep(kept: dict[K, V], key: K, value: V) -> None:
    if len(kept) >= REMEMBERED:
        kept.clear()
    kept[key] = value

"""What the owner does with accounts and the state: one place for the commands and for the administration's routes.

All that is given is JSON without a secret, but where one is asked for: `export` and `backup`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from kirogw import __version__, backup, metrics
from kirogw.auth import Account, Logins
from kirogw.convert import Providers
from kirogw.dialects.provider import Verdict
from kirogw.dialects.quota import Quota
from kirogw.errors import BadRequest, GatewayError, NotFound
from kirogw.logins import imports
from kirogw.logins.cliro import Setting
from kirogw.pool import Pool
from kirogw.pool.health import READY
from kirogw.quotas import Quotas
from kirogw.redact import clean
from kirogw.settings import FIELDS, Settings, shown
from kirogw.store import Store, alive
from kirogw.store.sync import Sync
from kirogw.usage import Usage
from kirogw.wire import Json, Reply, Request

EVENTS: Final = "events"
LEADER: Final = "background"  # the lease of who works in the background for all
WORDS: Final = ("reason", "evidence", "error")  # members that may hold the upstream's own words


@dataclass(slots=True)
class Desk:
    """Safe for all threads, as its parts are. What does not work raises GatewayError or StoreFailed."""

    settings: Settings
    store: Store
    sync: Sync
    logins: Logins
    pool: Pool
    quotas: Quotas
    usage: Usage
    now: Callable[[], float] = time.time
    began: float = field(default_factory=time.time)

    @property
    def home(self) -> Path:
        return Path(self.settings.kirogw_home).expanduser()

    def note(self, what: str, **more: Any) -> None:
        """For the log of events: what the owner did."""
        self.sync.append(EVENTS, {"at": self.now(), "did": what, **more})

    # accounts

    def accounts(self) -> list[Json]:
        now = self.now()
        rows = {row["id"]: row for row in self.pool.status(now)}
        return [self._account(account, rows.get(account.id), now) for account in self.logins.accounts()]

    def account(self, name: str) -> Json:
        """By its id, or by a label that only it has."""
        id, now = self.find(name), self.now()
        row = next((row for row in self.pool.status(now) if row["id"] == id), None)
        account = next(account for account in self.logins.accounts() if account.id == id)
        return {**self._account(account, row, now), "quota": self._quota(id, now)}

    def find(self, name: str) -> str:
        """The account's id. Raises NotFound, and BadRequest for a label that several have."""
        if not (found := self._named(name)):
            self.logins.look()  # another process may just have brought it in
            found = self._named(name)
        if len(found) > 1:
            raise BadRequest(f"{len(found)} accounts have that label: say which by its id, {' or '.join(found)}",
                             param="id")  # fmt: skip
        if not found:
            raise NotFound(f"there is no account {name!r}; `kirogw.py accounts list` shows all", param="id")
        return found[0]

    def _named(self, name: str) -> list[str]:
        accounts = self.logins.accounts()
        if any(account.id == name for account in accounts):
            return [name]
        return [account.id for account in accounts if name and account.label == name]

    def _account(self, account: Account, row: Json | None, now: float) -> Json:
        health = _cleaned(row) if row else {}
        quota = self.quotas.view(account.id, now)
        return {
            "id": account.id, "label": account.label, "kind": account.kind, "provider": account.provider,
            "name": account.name, "source": account.source, "stored": account.stored, "enabled": account.enabled,
            "weight": account.weight, "limit": account.limit,
            "login": {"state": account.state, "reason": clean(account.reason), "expires_at": account.expires_at},
            **{name: health.get(name, default) for name, default in UNKNOWN.items()},
            "models": [_cleaned(mark) for mark in health.get("models", ())],
            "plan": (quota or {}).get("plan") or account.plan, "quota": _cleaned(quota) if quota else None,
        }  # fmt: skip

    def _quota(self, account: str, now: float) -> Json | None:
        """With its pace, which takes some reading: not for lists that are looked at all the time."""
        view = self.quotas.view(account, now)
        if view is None:
            return None
        snapshot = self.quotas.snapshot(account)
        pace = self.usage.pace(account, snapshot.quota, now, snapshot.points) if snapshot.quota else None
        return {**_cleaned(view), "pace": pace}

    def add(self, rows: Sequence[imports.Row], label: str = "", *, dry_run: bool = False) -> Json:
        """The logins that were read; a problem with one does not keep out the others. What is set for an account that
        is here already stays as it is.
        """
        before = {account.id for account in self.logins.accounts()}
        added = []
        for row in rows:
            if isinstance(row, imports.Imported):
                id = "" if dry_run else self._add(row, label, before)
                name, kind = row.credential.who, row.credential.kind
                added.append({"id": id, "kind": kind, "name": name, "new": id not in before, "where": row.where})
        self._follow()
        return {
            "accounts": added, "problems": [clean(str(row)) for row in rows if isinstance(row, imports.Problem)],
            "settings": [{"name": row.name, "value": "" if row.secret else row.value}
                         for row in rows if isinstance(row, Setting)],
        }  # fmt: skip

    def _add(self, row: imports.Imported, label: str, before: Collection[str]) -> str:
        id = self.logins.add(row.credential, label=label or row.label, source="import")
        given = {"enabled": row.enabled, "weight": row.weight, "limit": row.limit}
        terms: Json = {name: value for name, value in given.items() if value is not None}
        if terms and id not in before:
            self.logins.change(id, **terms)
        self.pool.renewed(id, self.now())
        self.note("account added", account=id)
        return id

    def remove(self, name: str) -> None:
        id = self.find(name)
        self.logins.remove(id)
        self.note("account removed", account=id)
        self._follow()

    def change(self, name: str, members: Json) -> None:
        """`label`, `enabled`, `weight`, `limit`: what is given changes. A limit of None is that of the settings."""
        id, given = self.find(name), dict(members)
        if given.get("limit", 0) is None:
            given["limit"] = -1
        self.logins.change(id, **given)
        self.note("account changed", account=id, **members)
        self._follow()

    def refresh(self, name: str) -> None:
        id = self.find(name)
        self.logins.refresh(id)
        self.pool.renewed(id, self.now())
        self.note("token renewed", account=id)

    def clear(self, name: str, model: str | None = None) -> None:
        id = self.find(name)
        self.pool.clear(id, model)
        self.note("rests ended", account=id, **({"model": model} if model else {}))

    def test(self, name: str) -> Json:
        """What the upstream says to its login and to a look at its quota, or its models. Costs no credits; never raises
        for them.
        """
        id, began = self.find(name), self.now()
        steps: list[Json] = []
        for step, act in (("login", self.logins.fresh), ("quota", self.quotas.check)):
            try:
                act(id)
                steps.append({"step": step, "ok": True, "message": ""})
            except GatewayError as error:
                steps.append({"step": step, "ok": False, "message": clean(str(error))})
                break
        works = all(step["ok"] for step in steps)
        return {"id": id, "ok": works, "steps": steps, "ms": round((self.now() - began) * 1000)}

    def export(self, names: Sequence[str] | None = None) -> Json:
        """Logins with their secrets, in a form that `imports.read` takes, here or in another installation."""
        ids = None if names is None else [self.find(name) for name in names]
        rows = {account.id: account for account in self.logins.accounts()}
        if ids is None:
            ids = [id for id, account in rows.items() if account.kind]  # without one there is no login yet
        made = imports.export([self._exported(rows[id]) for id in ids], self.now())
        self.note("accounts exported", accounts=ids)
        return made

    def _exported(self, account: Account) -> imports.Imported:
        credential = self.logins.credential(account.id)
        return imports.Imported(credential, account.label, account.enabled, account.weight, account.limit)

    def _follow(self) -> None:
        """What has changed here is in force here at once; the others hear of it within a second or two."""
        self.logins.reload()
        self.pool.replace(self.logins.accounts())

    # quotas

    def ask_quota(self, name: str) -> None:
        self.quotas.refresh(self.find(name))

    def ask_quotas(self, force: bool = False) -> Json:
        """Which accounts were asked, and what went wrong."""
        found = self.quotas.refresh_all(force)
        failed = {id: clean(str(answer)) for id, answer in found.items() if not isinstance(answer, Quota)}
        return {"asked": sorted(set(found) - set(failed)), "failed": failed}

    def all_quotas(self) -> dict[str, Json]:
        now = self.now()
        quotas = {account.id: self._quota(account.id, now) for account in self.logins.accounts()}
        return {id: quota for id, quota in quotas.items() if quota is not None}

    # the whole

    def status(self, only: Collection[str] | None = None) -> Json:
        """For any key. `only`: ids and labels of the accounts that a key is for."""
        rows = [row for row in self.accounts() if only is None or {row["id"], row["label"]} & set(only)]
        states = Counter(row["state"] for row in rows)
        return {
            "mode": self.settings.scheduling_mode, "sticky_sessions": self.settings.sticky_sessions,
            "total": len(rows), "healthy": sum(row["can_serve"] for row in rows),
            "states": dict(sorted(states.items())), "in_flight": sum(row["in_flight"] for row in rows),
            "accounts": [{name: row[name] for name in SHOWN} for row in rows],
        }  # fmt: skip

    def stats(self, days: int = 30, key: str | None = None) -> Json:
        self.sync.flush()
        return self.usage.stats(self.now(), days, key)

    def metrics(self) -> str:
        now = self.now()
        self.sync.flush()
        rows = self.pool.status(now)
        known = {row["id"]: quota for row in rows if (quota := self.quotas.of(row["id"]))}
        return metrics.text(self.store, rows, known, version=__version__, started=self.began)

    def everything(self) -> Json:
        """Processes that serve, who works for all of them, where the state lies."""
        words = self.store.all("process")
        names = sorted({id.rpartition("|")[0] for id in words})
        return {
            "version": __version__, "store": self.store.place, "leader": self.store.holder(LEADER),
            "processes": [name for name in names if alive(name)], "demo": self.settings.demo,
        }  # fmt: skip

    def events(self, limit: int = 100, after: int = 0, before: int | None = None) -> list[tuple[int, Json]]:
        """The newest first."""
        self.sync.flush()
        found = self.store.entries(EVENTS, after=after, before=before, limit=limit, newest=True)
        return [(number, _cleaned(event)) for number, event in found]

    def settings_in_force(self) -> list[Json]:
        """Of a secret only whether it is set."""
        rows = []
        for spec in FIELDS:
            value, meta = getattr(self.settings, spec.name), spec.metadata
            rows.append({
                "name": spec.name.upper(), "value": "" if meta["secret"] else shown(value),
                "default": shown(spec.default), "secret": meta["secret"], "set": value != spec.default,
                "group": meta["group"], "help": meta["help"],
            })  # fmt: skip
        return rows

    def backup(self, phrase: str = "") -> bytes:
        self.sync.flush()
        data = backup.take(self.store, self.logins.safe, self.home, self.now(), phrase)
        self.note("backup made", encrypted=bool(phrase))
        return data

    def restore(self, data: bytes, phrase: str = "", *, dry_run: bool = False) -> Json:
        if dry_run:
            return _found(backup.look(self.store, self.logins.safe, data, phrase), dry_run=True)
        self.sync.flush()
        found = backup.put_back(self.store, self.logins.safe, self.home, data, phrase)
        self.note("backup restored", made_at=found.made_at)
        self._follow()
        return _found(found, dry_run=False)


def quotas_of(settings: Settings, call: Callable[[Request, float], Reply], logins: Logins, pool: Pool,
              sync: Sync) -> Quotas:  # fmt: skip
    """What an account has left tells how it is, and the other way round."""

    def told(account: str, quota: Quota) -> None:
        pool.quota(account, quota, time.time())

    def locked(account: str, verdict: Verdict) -> None:
        pool.failed(account, verdict, "", time.time())

    return Quotas(
        settings, Providers(settings), call, logins, sync.store, sync, told=told, locked=locked,
        accounts=lambda: {account.id: account for account in pool.all()},
    )  # fmt: skip


UNKNOWN: Final[Json] = {  # of an account that the pool does not know yet
    "state": READY.state, "since": None, "until": None, "seconds": 0, "reason": "", "evidence": "",
    "upstream_request": "", "failures": 0, "half_open": False, "can_serve": True, "in_flight": 0, "pace": 0.0,
    "requests": 0, "successes": 0, "failed": 0, "last_used": None,
}  # fmt: skip
SHOWN: Final = (  # of an account, to any key
    "id", "label", "kind", "provider", "name", "plan", "state", "reason", "since", "until", "seconds", "can_serve",
    "half_open", "in_flight", "limit", "last_used", "quota", "models",
)  # fmt: skip


def _found(found: backup.Found, dry_run: bool) -> Json:
    return {"made_at": found.made_at, "documents": dict(found.documents), "files": list(found.files),
            "newer": list(found.newer), "gone": list(found.gone), "dry_run": dry_run}  # fmt: skip


def _cleaned(row: Json) -> Json:
    return {name: clean(value) if name in WORDS and isinstance(value, str) else value for name, value in row.items()}

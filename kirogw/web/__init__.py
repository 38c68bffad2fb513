"""HTTP: the application, its routes, and how errors leave. Flask is known here and nowhere else."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from pathlib import Path
from typing import Final

from flask import Flask

from kirogw import background, log
from kirogw.auth import Account, Logins
from kirogw.budgets import Budgets
from kirogw.desk import Desk, quotas_of
from kirogw.gateway import Gateway
from kirogw.kept import Kept
from kirogw.logins import keys
from kirogw.logins.flows import Flows
from kirogw.logins.named import Keys
from kirogw.logins.sealed import Safe, Unsealable
from kirogw.pool import Pool
from kirogw.settings import Settings, load
from kirogw.store import Conflict, Store, open_store
from kirogw.store.sync import Sync
from kirogw.transport import Transport
from kirogw.underway import Underway
from kirogw.usage import Usage
from kirogw.web import admin, api, failures, responses
from kirogw.web.application import Application
from kirogw.web.state import State

LOOK: Final = 2.0  # seconds between two looks at how the logins are
SEARCH: Final = 30.0  # and between two for new ones, in places that tell nobody
SECRET: Final = ("setting", "secret")
NO_TOKEN: Final = frozenset({"needs-login", "refresh-failed", "renew-failed"})
"""Reasons to rest that are over as soon as there is a login again."""


def create_app(settings: Settings | None = None) -> Flask:
    """The application. Starts no thread and opens no connection before the first request."""
    settings = settings or load()
    log.set_up(settings.log_level, settings.log_format)
    app = Application("kirogw", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.extensions["kirogw"] = assembled(settings)
    api.add_routes(app)
    responses.add_routes(app)
    admin.add_routes(app)
    failures.add_handlers(app)
    return app


def assembled(settings: Settings) -> State:
    """All services, each with what it needs of those before it."""
    home = Path(settings.kirogw_home).expanduser()
    transport = Transport(settings)
    store = open_store(settings)
    sync = Sync(store)
    logins = Logins(settings, transport.post, store)
    pool = Pool(logins.accounts(), settings, store=store, sync=sync)
    _follow(logins, pool, sync)
    quotas = quotas_of(settings, transport.call, logins, pool, sync)
    secret = _secret(settings, home, store, logins.safe)
    gateway = Gateway(settings, transport, logins, pool, sync, secret, quotas.wanted, quotas.told)
    usage = Usage(sync, store)
    kept = Kept(settings, sync, logins.safe.seal, functools.partial(_opened, logins.safe))
    jobs = background.standard(settings, store, logins=logins, pool=pool, quotas=quotas, catalog=gateway.catalog,
                               usage=usage, kept=kept)  # fmt: skip
    return State(
        settings=settings, store=store, sync=sync, logins=logins, pool=pool, quotas=quotas, gateway=gateway,
        usage=usage, background=background.Background(store, jobs),
        flows=Flows(settings, transport.post, store, logins.safe, logins.add, known=logins.known),
        keys=_keys(settings, store, sync, home), budgets=Budgets(sync, store),
        kept=kept, underway=Underway(sync),
        desk=Desk(settings, store, sync, logins, pool, quotas, usage), demo=settings.demo, pid=os.getpid(),
    )  # fmt: skip


def _secret(settings: Settings, home: Path, store: Store, safe: Safe) -> bytes:
    """What ids are derived from. Where machines share a store it is one for all, that of the first of them: a
    conversation is the same whichever machine it comes to.
    """
    own = keys.secret(home)
    if not settings.state_url:
        return own
    with contextlib.suppress(Conflict):
        store.put(*SECRET, {"sealed": safe.seal(own)}, if_version=0)
    doc = store.get(*SECRET)
    return safe.open(doc.value["sealed"]) if doc else own


def _opened(safe: Safe, text: str) -> bytes | None:
    try:
        return safe.open(text)
    except Unsealable:
        return None


def _keys(settings: Settings, store: Store, sync: Sync, home: Path) -> Keys:
    main, admin = settings.proxy_api_key or keys.read(home), settings.admin_api_key or keys.read_admin(home)
    return Keys(store, sync, keys.Key(main), keys.Key(admin))


def _follow(logins: Logins, pool: Pool, sync: Sync) -> None:
    """The pool has the accounts of now, whoever adds or changes them, and hears when somebody has signed in again."""

    known: list[Account] = []

    def look() -> None:
        accounts = logins.accounts()
        if accounts != known:
            known[:] = accounts
            pool.replace(accounts)
        healed = {account.id for account in accounts if account.state == "ready"}
        for account in pool.all():
            if account.health.reason in NO_TOKEN and account.id in healed:
                pool.renewed(account.id, time.time())

    def search() -> None:
        logins.reload()
        look()

    logins.follow(sync, look)
    sync.every(LOOK, look)
    sync.every(SEARCH, search)

"""The front door of keys: whose accounts there are, and a login for each that is fresh at the moment it is used.

Where logins lie and how they are written: `logins/sources.py`, and `logins/stored.py` for those of the store. When and
how they are renewed: `logins/refresh.py`. Which profile they send: `logins/profiles.py`. The gateway's own key:
`logins/keys.py`.
"""

from __future__ import annotations

import functools
import platform
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from kirogw import log
from kirogw.convert import Providers
from kirogw.dialects.credential import Credential, fingerprint
from kirogw.dialects.provider import Login
from kirogw.errors import BadRequest, GatewayError, NeedsLogin, NotFound
from kirogw.logins import files, sources, stored, tokens
from kirogw.logins.lease import pause
from kirogw.logins.memory import KEPT, LOGIN, Memory
from kirogw.logins.profiles import SENDERS, Profiles
from kirogw.logins.record import Record
from kirogw.logins.redeem import Post
from kirogw.logins.refresh import Keeper
from kirogw.logins.sealed import Safe
from kirogw.logins.source import Source
from kirogw.logins.stored import ACCOUNT, Book, Held, Terms
from kirogw.logins.ways.chatgpt import sign_out
from kirogw.settings import Settings
from kirogw.store import Store, StoreFailed
from kirogw.store.sync import Sync

WATCHED: Final = 5.0  # seconds for which a sign of life of the one who watches the store counts
NOTES: Final = 1.0  # seconds between two looks for what was learned and is not written yet


@dataclass(frozen=True, slots=True)
class Account:
    """An account as people may see it. `name` says whose it is, masked; `source` where its login lies; `state` is
    ready, failing (renewals fail, but the token lives), waiting (nothing serves just now) or login (somebody must sign
    in, now or before the token ends); `reason` says why. `expires_at` is the access token's end, None when unknown.

    `label`, `enabled`, `weight` and `limit` are as its owner has set them (`limit` None: as in the settings). `stored`:
    the gateway holds its login itself. `provider`: whose account it is, by the name of the Provider; `plan` as the
    login itself says, "" where it does not.
    """

    id: str
    kind: str
    name: str
    source: str
    state: str = "ready"
    reason: str = ""
    expires_at: float | None = None
    label: str = ""
    enabled: bool = True
    weight: float = 1.0
    limit: int | None = None
    stored: bool = False
    provider: str = ""
    plan: str = ""


class Logins:
    """All accounts of this installation. Safe for all threads; any number of processes, and with a shared store of
    machines, may have the same.

    `post` sends a request and reads the whole reply; it raises errors.UpstreamFailed when there is none. Accounts are
    those that the settings name, else those found under `home` (the user's own), and those in the store. What others
    change is noticed with the next look of whoever `follow`s, else by looking at the store now and then.
    """

    def __init__(self, settings: Settings, post: Post, store: Store, now: Callable[[], float] = time.time, *,
                 home: Path | None = None, sleep: Callable[[float], None] = pause) -> None:  # fmt: skip
        self._settings, self._post, self._now, self._sleep = settings, post, now, sleep
        self._providers = Providers(settings)
        self._user = home or Path.home()
        self._home = files.folder(Path(settings.kirogw_home).expanduser())
        self._machine = fingerprint(platform.node())[:4] if settings.state_url else ""
        self._store, self.safe = store, Safe(settings, self._home, store)
        self._book = Book(store, self.safe, now)
        self._profiles = Profiles(settings, post, now)
        self._keepers: dict[str, Keeper] = {}
        self._terms: dict[str, Terms] = {}
        self._spent: set[str] = set()
        self._made: dict[str, tuple[Credential, Record, Login]] = {}
        self._reading = threading.Lock()
        self._watched = 0.0
        self._marks: tuple[int, ...] = ()
        self._versions: dict[str, dict[str, int]] = {}
        self._told: Callable[[], None] = _nothing
        self.reload()

    def reload(self) -> None:
        """Look for accounts again: new ones appear, those that are gone disappear, the others stay as they are."""
        with self._reading:  # or what was read first could be written last, and an account that is new be gone again
            found = sources.find(self._settings, self._user, machine=self._machine)
            docs = {} if self._settings.demo else self._store.all(ACCOUNT)
            terms = {id: stored.terms(doc.value) for id, doc in docs.items()}
            oldest_first = sorted(docs, key=lambda id: (terms[id].created_at, id))
            found += [Held(id, self._book) for id in oldest_first if "login" in docs[id].value]
            self._keepers = {source.id: self._kept(source) for source in found}
            self._terms = terms
            self._spent = stored.spent(docs)

    def _kept(self, source: Source) -> Keeper:
        known = self._keepers.get(source.id)
        return known if known and type(known.source) is type(source) else self._keeper(source)

    def _keeper(self, source: Source) -> Keeper:
        name = source.id.removesuffix(f"-{self._machine}") if self._machine else source.id
        memory = Memory(self._store, self.safe, source.id, self._home / "logins" / f"{name}.json")
        return Keeper(source, self._settings, memory, self._post, now=self._now, sleep=self._sleep,
                      chance=random.random(), marks=self._look_for_changes, patient=self._is_watched,
                      providers=self._providers)  # fmt: skip

    # what others change

    def follow(self, sync: Sync, told: Callable[[], None] | None = None) -> None:
        """Notice through `sync` what other processes do, and write through it what need not be written at once. `told`
        is called, in its thread, after the accounts or what is set for them may have changed.
        """
        self._told = told or _nothing
        sync.watch(ACCOUNT, self._accounts_changed)
        for kind in (LOGIN, KEPT):
            sync.watch(kind, functools.partial(self._logins_changed, kind))
        sync.every(NOTES, self._write_notes)

    def _is_watched(self) -> bool:
        return time.monotonic() < self._watched

    def _look_for_changes(self) -> object:
        """Another value when the store may hold something new. Asks it only if nobody else does."""
        if not self._is_watched():
            try:
                self._marks = self._store.mark((ACCOUNT, LOGIN, KEPT))
            except StoreFailed as error:
                log.logger.debug("the store can not be asked for changes: %s", error)
        return self._marks

    def _write_notes(self) -> None:
        self._watched = time.monotonic() + WATCHED
        for keeper in list(self._keepers.values()):
            keeper.write_notes()

    def _accounts_changed(self) -> None:
        self.reload()
        self._logins_changed(ACCOUNT)
        self._told()

    def _logins_changed(self, kind: str) -> None:
        """Read anew what has changed, before a request needs it."""
        versions = {id: doc.version for id, doc in self._store.all(kind).items()}
        before, self._versions[kind] = self._versions.get(kind), versions
        moved = {id for id in versions.keys() | (before or {}).keys()
                 if before is None or versions.get(id) != before.get(id)}  # fmt: skip
        for keeper in list(self._keepers.values()):
            if (keeper.mark if kind == KEPT else keeper.id) in moved:
                keeper.look()

    # accounts

    def accounts(self) -> list[Account]:
        """All accounts, each login once. Where a Kiro tool is found that nobody is signed in to, there is none."""
        if not self._keepers:
            self.reload()
        seen: set[str] = set()
        listed = []
        for keeper in self._keepers.values():
            held, mine = keeper.held(), isinstance(keeper.source, Held)
            if held is None and keeper.missing and (mine or not sources.named(self._settings)):
                continue
            mark = fingerprint(held.refresh or held.access) if held else keeper.id
            if mark not in seen and (mine or keeper.mark not in self._spent):
                seen.add(mark)
                listed.append(self._with_terms(self._account(keeper, held), mine))
        return listed

    def _with_terms(self, account: Account, mine: bool) -> Account:
        if (terms := self._terms.get(account.id)) is None:
            return account
        place = (mine and terms.source) or account.source
        return replace(account, label=terms.label, enabled=terms.enabled, weight=terms.weight, limit=terms.limit,
                       source=place, stored=mine)  # fmt: skip

    def add(self, credential: Credential, *, label: str = "", source: str = "", id: str = "") -> str:
        """Put a login into the store; the account's id. The login of an account that is there already is renewed, and
        what was set for it stays; one that this account has had before changes nothing. `id`: renew that account,
        whoever signed in. Raises BadRequest, NotFound, StoreFailed or sealed.Unsealable.
        """
        if id:
            self._need_stored(id, "sign in there")
        stored.checked(label, None, None, None)
        if not (credential.refresh or credential.access):
            raise BadRequest("the login holds neither a refresh token nor an access token nor a key")
        made = self._book.add(credential, label, source, id)
        self.reload()
        if made in self._keepers:
            self._keepers[made].look()
        self._told()
        return made

    def remove(self, id: str) -> None:
        """Forget an account of the store, and sign it out where that can be done. Raises NotFound, or BadRequest for
        one that lies elsewhere.
        """
        self._need_stored(id, "take it away there, or disable it here")
        held = self.known(id)
        self._book.remove(id)
        self.look()
        if held:
            sign_out(held, self._settings, self._post)

    def _need_stored(self, id: str, instead: str) -> None:
        source = self._existing(id).source
        if not isinstance(source, Held):
            raise BadRequest(f"the login of {id} lies in {source.place}: {instead}", param="id")

    def change(self, id: str, *, label: str | None = None, enabled: bool | None = None, weight: float | None = None,
               limit: int | None = None) -> None:  # fmt: skip
        """Set something for an account; None leaves it as it is, a limit below 0 is that of the settings again. Raises
        NotFound or BadRequest.
        """
        self._existing(id)
        members = stored.checked(label, enabled, weight, limit)
        if label and any(label in (other, terms.label) for other, terms in self._named() if other != id):
            raise BadRequest(f"another account is called {label!r} already", param="label")
        self._book.set(id, members)
        self.look()

    def _named(self) -> list[tuple[str, Terms]]:
        return [(id, self._terms.get(id, Terms())) for id in self._keepers]

    def credential(self, id: str) -> Credential:
        """The login itself, with its secrets, to take it elsewhere. Raises NotFound or NeedsLogin."""
        keeper = self._existing(id)
        if (held := keeper.held()) is None:
            raise NeedsLogin(f"account {id} has no login: {keeper.problem}")
        return held

    def known(self, id: str) -> Credential | None:
        """The login of an account that is to get another one, None where it has none any more. Raises NotFound, or
        BadRequest for one that lies elsewhere.
        """
        self._need_stored(id, "sign in there")
        return self._existing(id).held()

    def refresh(self, id: str) -> Login:
        """Renew it now, due or not, although it failed lately. Raises NotFound, and as `fresh` does."""
        keeper = self._existing(id)
        held = keeper.held()
        return self._login(keeper, keeper.renew(held.access if held else "", forced=True))

    def _existing(self, id: str) -> Keeper:
        if id not in self._keepers:
            self.reload()
        if id not in self._keepers:
            raise NotFound(f"there is no account {id}")
        return self._keepers[id]

    def look(self) -> None:
        """Take over now what other processes have done with accounts."""
        self.reload()
        self._told()

    def _account(self, keeper: Keeper, held: Credential | None) -> Account:
        if held is None:
            state = "waiting" if keeper.away else "login"
            return Account(keeper.id, "", "", keeper.source.place, state, keeper.problem + keeper.mend)
        living = tokens.alive(held, self._now())
        state, reason = "ready", self._warning(keeper, held)
        if error := keeper.barred():
            state = "login" if isinstance(error, NeedsLogin) else "failing" if living else "waiting"
            reason = f"{error} (until its token ends, it serves)" if living else str(error)
        elif not living and not held.refresh:
            state, reason = "login", f"its token has run out and can not be renewed; {keeper.source.mend}"
        elif not living and keeper.memory.failures:  # it may be tried again; whether it works nobody knows yet
            state, reason = "waiting", f"its token has run out and could not be renewed ({keeper.memory.why})"
        return Account(keeper.id, held.kind, held.who, keeper.source.place, state, reason, held.expires_at,
                       provider=self._providers.of(held.kind).name, plan=held.plan)  # fmt: skip

    def _warning(self, keeper: Keeper, held: Credential) -> str:
        """What its owner should know although it works."""
        if held.client_ends is not None and held.client_ends - self._now() < tokens.WARN:
            day = time.strftime("%Y-%m-%d", time.gmtime(held.client_ends))
            return f"its client registration ends on {day}; {keeper.source.mend} before that"
        return keeper.problem

    def fresh(self, account: str) -> Login:
        """A login that serves now; renewed first if it is due.

        Raises NeedsLogin when its owner must sign in, UpstreamFailed when it can not be renewed just now and its token
        has run out.
        """
        keeper = self._keeper_of(account)
        return self._login(keeper, keeper.fresh())

    def renew(self, account: str, spent: str) -> Login:
        """A login with another access token than `spent`, which the service refused. Sends nothing if there is one
        already; gives the same API key again, since it has no other. Raises as `fresh` does.
        """
        keeper = self._keeper_of(account)
        return self._login(keeper, keeper.renew(spent))

    def profile(self, account: str) -> str:
        """The profile ARN for calls of the control plane, "" for none. An API key has one there, and only there."""
        keeper = self._keeper_of(account)
        return self._profiles.own(keeper, keeper.fresh())

    def next_rung(self, account: str, sent: str | None = None) -> Login | None:
        """The service did not like the profile `sent` (None: that of the last login): a login with another one, which
        is remembered; None when there is nothing else to try.
        """
        keeper = self._keeper_of(account)
        held = keeper.fresh()
        if sent is None:
            sent = self._login(keeper, held).profile
        return None if self._profiles.next(keeper, held, sent) is None else self._login(keeper, held)

    def background(self) -> int:
        """One pass that renews what is due; how many were. Never raises for an account. A place whose login was brought
        into the store is no account: what lies there is spent, or would be for the store's.
        """
        renewed = 0
        for account in self.accounts():
            keeper = self._keepers.get(account.id)
            if account.enabled and keeper and keeper.due():
                try:
                    renewed += keeper.fresh() is not None
                except GatewayError as error:
                    log.logger.debug("account %s stays as it is: %s", keeper.id, error)
        return renewed

    def _keeper_of(self, account: str) -> Keeper:
        try:
            return self._keepers[account]
        except KeyError:
            raise NeedsLogin(f"there is no account {account} any more; sign in again, or set it up anew") from None

    def _login(self, keeper: Keeper, held: Credential) -> Login:
        """The same object as long as nothing changes: it is asked for with every request."""
        made = self._made.get(keeper.id)
        if made and made[0] is held and made[1] is keeper.memory and (made[2].profile or held.kind not in SENDERS):
            return made[2]
        profile, machine = self._profiles.of(keeper, held), keeper.machine()
        login = self._providers.of(held.kind).login(held, profile, machine)
        if not (login.token.isascii() and login.token.isprintable()):
            raise NeedsLogin(f"the token of account {keeper.id} holds characters that no token has, so it was damaged"
                             " on its way here; sign in again, or bring it along anew")  # fmt: skip
        self._made[keeper.id] = held, keeper.memory, login
        return login


def _nothing() -> None:
    pass

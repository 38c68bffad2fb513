"""The front door of keys: whose accounts there are, and a login for each that is fresh at the moment it is used.

Where logins lie and how they are written: `logins/sources.py`. When and how they are renewed: `logins/refresh.py`.
Which profile they send: `logins/profiles.py`. The gateway's own key: `logins/keys.py`.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kirogw import log
from kirogw.dialects.dialect import Login
from kirogw.dialects.kiro.credential import Credential, fingerprint
from kirogw.dialects.kiro.login import api_region
from kirogw.errors import GatewayError, NeedsLogin
from kirogw.logins import files, sources, tokens
from kirogw.logins.lease import pause
from kirogw.logins.profiles import Profiles
from kirogw.logins.record import Record
from kirogw.logins.redeem import Post
from kirogw.logins.refresh import Keeper
from kirogw.settings import Settings


@dataclass(frozen=True, slots=True)
class Account:
    """An account as people may see it. `name` says whose it is, masked; `source` where its login lies; `state` is
    ready, failing (renewals fail, but the token lives), waiting (nothing serves just now) or login (somebody must sign
    in, now or before the token ends); `reason` says why. `expires_at` is the access token's end, None when unknown.
    """

    id: str
    kind: str
    name: str
    source: str
    state: str = "ready"
    reason: str = ""
    expires_at: float | None = None


class Logins:
    """All accounts of this installation. Safe for all threads; any number of processes may share KIROGW_HOME.

    `post` sends a request and reads the whole reply; it raises errors.UpstreamFailed when there is none. Accounts are
    those that the settings name, else those found under `home` (the user's own).
    """

    def __init__(self, settings: Settings, post: Post, now: Callable[[], float] = time.time, *,
                 home: Path | None = None, sleep: Callable[[float], None] = pause) -> None:  # fmt: skip
        self._settings, self._post, self._now, self._sleep = settings, post, now, sleep
        self._user = home or Path.home()
        self._home = files.folder(Path(settings.kirogw_home).expanduser())
        self._profiles = Profiles(settings, post, now)
        self._keepers: dict[str, Keeper] = {}
        self._made: dict[str, tuple[Credential, Record, Login]] = {}
        self._lock = threading.Lock()
        self.reload()

    def reload(self) -> None:
        """Look for accounts again: new ones appear, those that are gone disappear, the others stay as they are."""
        found = sources.find(self._settings, self._user)
        with self._lock:
            self._keepers = {source.id: self._keepers.get(source.id) or self._keeper(source) for source in found}

    def _keeper(self, source: sources.Source) -> Keeper:
        chance = random.random()
        return Keeper(source, self._settings, self._home, self._post, now=self._now, sleep=self._sleep, chance=chance)

    def accounts(self) -> list[Account]:
        """All accounts, each login once. Where a Kiro tool is found that nobody is signed in to, there is none."""
        if not self._keepers:
            self.reload()
        seen: set[str] = set()
        listed = []
        for keeper in self._keepers.values():
            held = keeper.held()
            if held is None and keeper.missing and not sources.named(self._settings):
                continue
            mark = fingerprint(held.refresh or held.access) if held else keeper.id
            if mark not in seen:
                seen.add(mark)
                listed.append(self._account(keeper, held))
        return listed

    def _account(self, keeper: Keeper, held: Credential | None) -> Account:
        if held is None:
            reason = f"{keeper.problem}; {keeper.source.mend}"
            return Account(keeper.id, "", "", keeper.source.place, "login", reason)
        living = tokens.alive(held, self._now())
        state, reason = "ready", self._warning(keeper, held)
        if error := keeper.barred():
            state = "login" if isinstance(error, NeedsLogin) else "failing" if living else "waiting"
            reason = f"{error} (until its token ends, it serves)" if living else str(error)
        elif not living and not held.refresh:
            state, reason = "login", f"its token has run out and can not be renewed; {keeper.source.mend}"
        return Account(keeper.id, held.kind, held.who, keeper.source.place, state, reason, held.expires_at)

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
        """One pass that renews what is due; how many were. Never raises for an account."""
        renewed = 0
        for keeper in list(self._keepers.values()):
            if keeper.due():
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
        if made and made[0] is held and made[1] is keeper.memory and (made[2].profile or held.kind == "key"):
            return made[2]
        profile, machine = self._profiles.of(keeper, held), keeper.machine()
        login = Login(held.kind, held.access, profile, api_region(held, profile, self._settings), machine)
        self._made[keeper.id] = held, keeper.memory, login
        return login

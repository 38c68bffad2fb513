"""Which profile an account sends, and what is tried when the service does not like it.

Set by the owner, else beside the login, else as the service lists, else one of the well-known. What was found is kept
with the account. An API key sends none, and ChatGPT knows of none. Source: kiro 1.6, 1.10.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Final

from kirogw.dialects.credential import Credential
from kirogw.dialects.kiro import login as kiro
from kirogw.dialects.kiro.login import Profile
from kirogw.dialects.provider import Login
from kirogw.errors import UpstreamFailed
from kirogw.logins.redeem import Post
from kirogw.logins.refresh import Keeper
from kirogw.settings import Settings
from kirogw.wire import Reply, Request

SENDERS: Final = frozenset({"social", "idc", "builder", "external"})  # kinds of logins that send one
AGAIN: Final = 60.0  # seconds until a question that brought nothing is asked again
PAGES: Final = 20


class Profiles:
    """The profiles of all accounts of this process. Safe for all threads."""

    def __init__(self, settings: Settings, post: Post, now: Callable[[], float]) -> None:
        self._settings, self._post, self._now = settings, post, now
        self._asked: dict[tuple[str, str], float] = {}
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def of(self, keeper: Keeper, credential: Credential) -> str:
        """The ARN to send with a request, "" for none. Asks the service the first time, where nobody else knows it."""
        if credential.kind not in SENDERS:
            return ""
        if self._settings.profile_arn:
            return self._settings.profile_arn
        if credential.kind == "builder":
            return kiro.ladder(credential, self._settings)[self._rung(keeper, credential)]
        if credential.profile and credential.profile != self._known(keeper, credential, "passed_over"):
            return credential.profile
        return self._known(keeper, credential, "profile") or credential.profile or self._found(keeper, credential)

    def own(self, keeper: Keeper, credential: Credential) -> str:
        """The ARN for calls of the control plane: the same, but that an API key has one there."""
        if credential.kind != "key":
            return self.of(keeper, credential)
        return self._known(keeper, credential, "profile") or self._found(keeper, credential)

    def next(self, keeper: Keeper, credential: Credential, sent: str) -> str | None:
        """The service does not like `sent`: what to send from now on, None when there is nothing else."""
        now = self.of(keeper, credential)
        if now != sent:
            return now  # another request has been here before
        if self._settings.profile_arn or credential.kind not in SENDERS:
            return None
        if credential.kind == "builder":
            rungs = kiro.ladder(credential, self._settings)
            rung = (self._rung(keeper, credential) + 1) % len(rungs)
            keeper.note(rung=rung, identity=credential.identity)
            return rungs[rung] if rung else None
        self._asked.pop((keeper.id, credential.identity), None)
        found = self._found(keeper, credential, disliked=sent)
        return found if found and found != sent else None

    def _rung(self, keeper: Keeper, credential: Credential) -> int:
        known = keeper.memory
        rung = known.rung if known.identity == credential.identity else 0
        return rung if rung < len(kiro.ladder(credential, self._settings)) else 0

    def _known(self, keeper: Keeper, credential: Credential, name: str) -> str:
        """What was found out before, if the account is still the same person's."""
        known = keeper.memory
        return str(getattr(known, name)) if known.identity == credential.identity else ""

    def _found(self, keeper: Keeper, credential: Credential, disliked: str = "") -> str:
        """What the service says, else the well-known. One thread asks, the others wait for what it hears."""
        with self._locks[keeper.id]:
            found = "" if disliked else self._known(keeper, credential, "profile")
            if not found and self._may_ask(keeper.id, credential.identity):
                found = self._asked_for(keeper, credential)
                if found and found != disliked:
                    passed_over = credential.profile if disliked else ""
                    keeper.note(profile=found, identity=credential.identity, passed_over=passed_over, rung=0)
        return found or (self._settings.kiro_social_arn if credential.kind == "social" else "")

    def _may_ask(self, account: str, identity: str) -> bool:
        now = self._now()
        if 0 <= now - self._asked.get((account, identity), -AGAIN) < AGAIN:
            return False
        self._asked[account, identity] = now
        return True

    def _asked_for(self, keeper: Keeper, credential: Credential) -> str:
        """From the first region that knows any."""
        for region in kiro.probe_regions(credential, self._settings):
            login = Login(credential.kind, credential.access, "", region, keeper.machine())
            if arn := self._own(login) if credential.kind == "key" else self._chosen(login):
                return arn
        return ""

    def _own(self, login: Login) -> str:
        """A key's profile."""
        for base in self._settings.kiro_control_urls:
            reply = self._reply(kiro.profile_request(login, base, self._settings))
            if reply and (arn := kiro.read_profile(reply)):
                return arn
        return ""

    def _chosen(self, login: Login) -> str:
        for base in self._settings.kiro_control_urls:
            if (listed := self._pages(login, base)) is not None:
                return kiro.choice(listed, login.region)
        return ""

    def _pages(self, login: Login, base: str) -> list[Profile] | None:
        """All profiles of a region; None when this host does not say."""
        profiles: list[Profile] = []
        after = ""
        for _ in range(PAGES):
            reply = self._reply(kiro.profiles_request(login, base, self._settings, after))
            page = kiro.read_profiles(reply) if reply else None
            if page is None:
                return profiles or None
            profiles += page[0]
            after = page[1]
            if not after:
                break
        return profiles

    def _reply(self, request: Request) -> Reply | None:
        try:
            return self._post(request)
        except UpstreamFailed:
            return None

"""Whose a new login is, and whether it serves at all: its quota is asked for, which names the owner; where none can be
asked for, its models are.

Before an account has a place: so this looks for the profile itself, and keeps nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kirogw.convert import Providers
from kirogw.dialects.credential import Credential, machine_id
from kirogw.dialects.kiro import login as kiro
from kirogw.dialects.provider import Login, Provider
from kirogw.dialects.quota import Quota
from kirogw.errors import UpstreamFailed
from kirogw.logins.profiles import SENDERS
from kirogw.logins.redeem import Post
from kirogw.settings import Settings

SILENT: Final = "the service did not say"


def whose(credential: Credential, settings: Settings, post: Post, now: float) -> Quota | str:
    """Its quota, with mail address and user id where the service tells them; or why there is none, for people."""
    trouble = SILENT
    try:
        for told in _told(credential, settings, post, now):
            if isinstance(told, Quota):
                return told
            trouble = told
    except UpstreamFailed as error:
        return str(error)
    return trouble


def _told(credential: Credential, settings: Settings, post: Post, now: float) -> Iterator[Quota | str]:
    """What each host says of each login, in order of trial."""
    provider = Providers(settings).of(credential.kind)
    for login in _logins(credential, provider, settings, post):
        if not (hosts := provider.quota_hosts(login)):
            yield _by_models(credential, provider, login, post, now)
            return
        for host in hosts:
            told = provider.read_quota(post(provider.quota_request(login, host, login.profile)), now)
            yield told if isinstance(told, Quota) else str(told.error)


def _by_models(credential: Credential, provider: Provider, login: Login, post: Post, now: float) -> Quota | str:
    """That it serves, where nobody can be asked for how long."""
    trouble = SILENT
    for host in provider.list_hosts(login):
        reply = post(provider.list_request(login, host))
        if reply.status == 200:
            return Quota(now, plan=credential.plan, email=credential.email, user=credential.user)
        trouble = str(provider.judge(reply.status, reply.headers, reply.body).error)
    return trouble


def _logins(credential: Credential, provider: Provider, settings: Settings, post: Post) -> Iterator[Login]:
    """As what it may ask, in order of trial: with one profile or another."""
    for profile in _profiles(credential, settings, post):
        yield provider.login(credential, profile, machine_id(credential))


def _profiles(credential: Credential, settings: Settings, post: Post) -> Iterator[str]:
    if credential.kind not in SENDERS | {"key"}:
        yield ""
    elif settings.profile_arn or credential.profile:
        yield settings.profile_arn or credential.profile
    elif credential.kind == "social":
        yield settings.kiro_social_arn
    elif credential.kind == "builder":
        yield from kiro.ladder(credential, settings)
    else:
        yield from _listed(credential, settings, post)


def _listed(credential: Credential, settings: Settings, post: Post) -> Iterator[str]:
    """The account's own, as each region knows it."""
    for region in kiro.probe_regions(credential, settings):
        login = Login(credential.kind, credential.access, "", region, machine_id(credential))
        for base in settings.kiro_control_urls:
            page = kiro.read_profiles(post(kiro.profiles_request(login, base, settings)))
            if page and (found := kiro.choice(page[0], region)):
                yield found
                break

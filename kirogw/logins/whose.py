"""Whose a new login is, and whether it serves at all: its quota is asked for, which names the owner.

Before an account has a place: so this looks for the profile itself, and keeps nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kirogw.dialects.credential import Credential
from kirogw.dialects.dialect import Login, Quota
from kirogw.dialects.kiro import login as kiro
from kirogw.dialects.kiro import quota
from kirogw.dialects.kiro.credential import machine_id
from kirogw.errors import UpstreamFailed
from kirogw.logins.redeem import Post
from kirogw.settings import Settings

SILENT: Final = "the service did not say"


def whose(credential: Credential, settings: Settings, post: Post, now: float) -> Quota | str:
    """Its quota, with mail address and user id where the service tells them; or why there is none, for people."""
    trouble = SILENT
    try:
        for login in _logins(credential, settings, post):
            for base in settings.kiro_control_urls:
                told = quota.read(post(quota.request(login, base, settings)), now)
                if isinstance(told, Quota):
                    return told
                trouble = str(told.error)
    except UpstreamFailed as error:
        return str(error)
    return trouble


def _logins(credential: Credential, settings: Settings, post: Post) -> Iterator[Login]:
    """As what it may ask, in order of trial: with one profile or another."""
    for profile in _profiles(credential, settings, post):
        region = kiro.api_region(credential, profile, settings)
        yield Login(credential.kind, credential.access, profile, region, machine_id(credential))


def _profiles(credential: Credential, settings: Settings, post: Post) -> Iterator[str]:
    if settings.profile_arn or credential.profile:
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

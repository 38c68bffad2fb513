"""The pages where a user signs in, and the code that comes of it: Kiro's web portal, the older page of the IDE, and the
page where a device's code is approved. What a user would click is a link, so a browser or one GET can do it.

PKCE, the state and the exact redirect URI are minded, since a client that gets them wrong is refused by the real one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode, urlsplit

from kirogw.twin import codes, replies
from kirogw.twin.kiro.auth import BUILDER_START, Auth, newest
from kirogw.twin.replies import page, refused, to
from kirogw.twin.state import Incoming, Seen
from kirogw.wire import Reply

SOCIAL: Final = ("google", "github")
CHOICES: Final = (*SOCIAL, "builderid", "awsidc")
APP_URI: Final = "kiro://kiro.kiroAgent/authenticate-success"
ORGANISATION: Final = {"issuer_url": "https://acme.awsapps.com/start", "idc_region": "eu-west-1"}


class Pages:
    """`codes` remember with whom the user signed in: google, github."""

    def __init__(self, auth: Auth) -> None:
        self.auth = auth
        self.codes: codes.Codes[str] = codes.Codes()

    # Kiro's portal

    def portal(self, incoming: Incoming, seen: Seen) -> Reply:
        """The ways to sign in, each a link; only one where the address asks for it."""
        asked = incoming.query
        if fault := _portal_fault(asked):
            return refused(fault)
        choices = [asked["login_option"]] if asked.get("login_option") else [*CHOICES, "deny"]
        links = [(f"signin/continue?{urlencode({**asked, 'choice': choice})}", choice) for choice in choices]
        return page("Sign in to Kiro", links)

    def portal_choice(self, incoming: Incoming, seen: Seen) -> Reply:
        """What the user clicked: back to where the client listens."""
        asked, choice = incoming.query, incoming.query.get("choice", "")
        if fault := _portal_fault(asked):
            return refused(fault)
        home, state = asked["redirect_uri"], {"state": asked["state"]}
        if choice == "deny":
            return to(f"{home}/oauth/callback?{urlencode({'error': 'access_denied', **state})}")
        if choice in SOCIAL:
            uri = f"{home}/oauth/callback?login_option={choice}"
            return to(f"{uri}&{urlencode({'code': self.codes.new(asked, choice, uri), **state})}")
        chosen = ORGANISATION if choice == "awsidc" else {"issuer_url": BUILDER_START, "idc_region": "us-east-1"}
        return to(f"{home}/signin/callback?{urlencode({'login_option': choice, **chosen, **state})}")

    # the older page

    def app_login(self, incoming: Incoming, seen: Seen) -> Reply:
        """Goes back to the custom scheme at once, as for a user who is signed in to Google already."""
        asked = incoming.query
        if asked.get("idp") not in ("Google", "Github"):
            return refused("idp is Google or Github")
        if asked.get("redirect_uri") != APP_URI:
            return refused("redirect_uri is not registered")
        if fault := codes.fault(asked):
            return refused(fault)
        code = self.codes.new(asked, asked["idp"].lower())
        return to(f"{APP_URI}?{urlencode({'code': code, 'state': asked['state']})}")

    # the exchange

    def exchange(self, incoming: Incoming, seen: Seen) -> Reply:
        """snake_case in, camelCase out. A code is used up by the first try, whether that is right or wrong."""
        provider, wrong = self.codes.spend(incoming.members)
        if provider is None:
            return replies.oauth("invalid_grant", wrong)
        account = self.auth.accounts.signed_in("social", provider=provider)
        life = int(self.auth.options.access_life)
        return replies.plain(200, {**newest(account), "profileArn": account.profile_arn, "expiresIn": life})

    # a device's code

    def approval(self, incoming: Incoming, seen: Seen) -> Reply:
        """Shows the code, which the user compares, and the two links."""
        shown = incoming.query.get("user_code", "")
        if not any(device.user_code == shown for device in self.auth.devices.values()):
            return refused("there is no such code")
        links = [(f"device/decide?{urlencode({'user_code': shown, 'answer': answer})}", answer)
                 for answer in ("approved", "denied")]  # fmt: skip
        return page(f"Allow access? {shown}", links)

    def decide(self, incoming: Incoming, seen: Seen) -> Reply:
        for device in list(self.auth.devices.values()):
            if device.user_code == incoming.query.get("user_code"):
                device.answer = incoming.query.get("answer", "")
                return page(f"The request was {device.answer}", [])
        return refused("there is no such code")


def _portal_fault(asked: Mapping[str, str]) -> str:
    """What the portal does not like, "" for nothing. It goes back to this machine only; the port is the client's."""
    home = urlsplit(asked.get("redirect_uri", ""))
    if home.scheme != "http" or home.hostname != "localhost" or not home.port or home.path or home.query:
        return "redirect_uri is not registered"
    if asked.get("redirect_from") != "kirocli":
        return "redirect_from is missing"
    if asked.get("login_option", "google") not in CHOICES:
        return "login_option is unknown"
    return codes.fault(asked)

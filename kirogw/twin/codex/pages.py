"""Where a user signs in: the two authorize addresses, and the page where a device is approved.

What a user would click is a link, so a browser or one GET can do it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlencode, urlsplit

from kirogw.twin import codes, replies
from kirogw.twin.codex.accounts import CODEX_CLIENT, DIRECT, SCOPES, Account
from kirogw.twin.codex.auth import RESOURCE, Auth, SignIn
from kirogw.twin.replies import page, refused, to
from kirogw.twin.state import Incoming, Seen
from kirogw.wire import Reply

DYNAMIC: Final = "dynamic_agent_client"
HOST_ID: Final = re.compile(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I)
CODEX_HOME: Final = ("localhost:1455", "localhost:1457")


class Pages:
    def __init__(self, auth: Auth) -> None:
        self.auth = auth
        self.accounts = auth.accounts
        self.options = auth.options

    def authorize(self, incoming: Incoming, seen: Seen) -> Reply:
        """The Codex door."""
        asked = incoming.query
        if fault := self._codex_fault(asked):
            return refused(fault)

        def granted() -> dict[str, str]:
            return {"code": self.auth.codes.new(asked, SignIn("codex")), "scope": asked["scope"]}

        return self._decided(incoming, granted)

    def _codex_fault(self, asked: Mapping[str, str]) -> str:
        url = urlsplit(asked.get("redirect_uri", ""))
        if asked.get("client_id") != CODEX_CLIENT:
            return "unknown client_id"
        home = url.hostname == "localhost" if self.options.any_port else url.netloc in CODEX_HOME
        if url.scheme != "http" or not home or url.path != "/auth/callback" or url.query:
            return "redirect_uri is not registered"
        if "offline_access" not in asked.get("scope", "").split():
            return "scope lacks offline_access"
        for name in ("id_token_add_organizations", "codex_cli_simplified_flow"):
            if asked.get(name) != "true":
                return f"{name} is missing"
        return codes.fault(asked) if asked.get("response_type") == "code" else "response_type must be code"

    def siwc_authorize(self, incoming: Incoming, seen: Seen) -> Reply:
        """Sign in with ChatGPT: the callback hears the client id that the tokens are for."""
        asked = incoming.query
        if fault := self._siwc_fault(asked):
            return refused(fault)

        def granted() -> dict[str, str]:
            account = self._siwc_account(asked)
            code = self.auth.codes.new(asked, SignIn("siwc", account, asked["nonce"]))
            return {"code": code, "client_id": account.client_id}

        return self._decided(incoming, granted)

    def _siwc_account(self, asked: Mapping[str, str]) -> Account:
        known = self._registered(asked["client_id"])
        scope = SCOPES["siwc"] if self.options.plan_use else SCOPES["siwc"].replace(f" {DIRECT}", "")
        account = known or self.accounts.signed_in("siwc", scope=scope)
        account.scope = scope
        return account

    def _registered(self, client: str) -> Account | None:
        return next((account for account in self.accounts.all.values()
                     if account.kind == "siwc" and account.client_id == client), None)  # fmt: skip

    def _siwc_fault(self, asked: Mapping[str, str]) -> str:
        url = urlsplit(asked.get("redirect_uri", ""))
        client = asked.get("client_id", "")
        if client != DYNAMIC and self._registered(client) is None:
            return "unknown client_id"
        if client == DYNAMIC and not asked.get("agent_name_hint"):
            return "agent_name_hint is missing"
        if url.scheme != "http" or url.hostname != "127.0.0.1" or not url.port or url.path != "/auth/callback":
            return "redirect_uri is not allowed"
        if not HOST_ID.fullmatch(asked.get("ext_agent_host_id", "")):
            return "ext_agent_host_id is no urn:uuid"
        if asked.get("resource") != RESOURCE:
            return "resource is missing or not allowed"
        if missing := set(SCOPES["siwc"].split()) - set(asked.get("scope", "").split()):
            return f"scope lacks {', '.join(sorted(missing))}"
        if not asked.get("nonce"):
            return "nonce is missing"
        return codes.fault(asked) if asked.get("response_type") == "code" else "response_type must be code"

    def _decided(self, incoming: Incoming, granted: Callable[[], dict[str, str]]) -> Reply:
        """Back to the client, or first a page on which the user decides."""
        asked = incoming.query
        choice = asked.get("choice") or {"page": "", "deny": "deny"}.get(self.options.consent, "allow")
        if not choice:
            links = [(f"?{urlencode({**asked, 'choice': word})}", word) for word in ("allow", "deny")]
            return page("Sign in to OpenAI", links)
        if choice == "deny":
            told = {"error": "access_denied", "error_description": "The user denied the request"}
        else:
            told = granted()
        return to(f"{asked['redirect_uri']}?{urlencode({**told, 'state': asked['state']})}")

    # devices

    def device_page(self, incoming: Incoming, seen: Seen) -> Reply:
        """Every device that waits, each with its links; `user_code` and `choice` decide on one."""
        asked = incoming.query
        waiting = {device.user_code: device for device in self.auth.devices.values()}
        if choice := asked.get("choice"):
            if asked.get("user_code") not in waiting or choice not in ("approved", "denied"):
                return refused("no such device")
            waiting[asked["user_code"]].answer = choice
            return replies.text(200, f"You have {choice} it. You may close this page.\n")
        links = [(f"?{urlencode({'user_code': code, 'choice': choice})}", f"{choice}: {code}")
                 for code in waiting for choice in ("approved", "denied")]  # fmt: skip
        return page("Devices that want to sign in to Codex", links)

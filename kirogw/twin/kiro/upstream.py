"""Kiro's twin as an object."""

from __future__ import annotations

from kirogw.twin.kiro.accounts import Account
from kirogw.twin.kiro.service import Service
from kirogw.twin.kiro.state import Options
from kirogw.twin.simulator import Simulator
from kirogw.wire import Json


class Twin(Simulator[Account]):
    """Kinds of accounts: social, idc, builder, external, api_key."""

    title = "the Kiro service"
    service: Service

    def made(self, options: Json) -> Service:
        return Service(Options.of(options))

    def settings(self, hosts: bool = False) -> dict[str, str]:
        """The gateway's settings that point it here; with `hosts` the twin hears which host and region is meant."""
        def at(host: str) -> str:
            return f"{self.url}/@{host}" if hosts else self.url

        return {
            "KIRO_RUNTIME_URLS": at("runtime.{region}.kiro.dev"),
            "KIRO_CONTROL_URLS": at("management.{region}.kiro.dev"),
            "KIRO_AUTH_URL": at("prod.{region}.auth.desktop.kiro.dev"),
            "AWS_OIDC_URL": at("oidc.{region}.amazonaws.com"),
            "KIRO_PORTAL_URL": at("app.kiro.dev"),
        }

    def secrets(self) -> str:
        account = self.account
        return (f"token {account.api_key or account.access_token} refresh {account.refresh_token or '-'} "
                f"profile {account.profile_arn or '-'}")  # fmt: skip

    def search(self, results: list[Json]) -> None:
        """What web_search finds from now on."""
        self.service.search = lambda query: results

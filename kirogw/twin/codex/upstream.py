"""ChatGPT's twin as an object."""

from __future__ import annotations

from kirogw.twin.codex.accounts import Account
from kirogw.twin.codex.service import Service
from kirogw.twin.codex.state import Options
from kirogw.twin.simulator import Simulator
from kirogw.wire import Json


class CodexTwin(Simulator[Account]):
    """Kinds of accounts: codex, siwc."""

    title = "ChatGPT"

    def made(self, options: Json) -> Service:
        return Service(Options.of(options))

    def settings(self) -> dict[str, str]:
        return {"CODEX_API_URL": f"{self.url}/backend-api", "OPENAI_API_URL": f"{self.url}/v1",
                "CODEX_AUTH_URL": self.url}  # fmt: skip

    def secrets(self) -> str:
        account = self.account
        return f"token {account.access_token} refresh {account.refresh_token} workspace {account.workspace}"

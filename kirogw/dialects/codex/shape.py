"""How this installation talks to ChatGPT, and what the rules may look at besides the conversation."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Literal, TypeAlias

from kirogw import __version__
from kirogw.dialects.provider import Model
from kirogw.settings import Settings

Form: TypeAlias = Literal["classic", "lite", "shared"]
"""Of a body. `classic`: tools and instructions in members of their own. `lite`: as Codex CLI asks newer models, with
both of them in the input (codex 6). `shared`: by Sign in with ChatGPT, tools in the input, few members (codex 3)."""


@dataclass(frozen=True, slots=True)
class Shape:
    """We say who we are: `originator` is also the first word of `user_agent`. `version` decides which models there are.
    """

    originator: str
    user_agent: str
    version: str

    @classmethod
    def of(cls, settings: Settings) -> Shape:
        agent = settings.codex_user_agent.replace("{gateway}", __version__)
        return cls(settings.codex_originator, agent, settings.codex_version)


@dataclass(frozen=True, slots=True)
class Terms:
    """`cut`, `unsealed`, `mark`, `plain` as in provider.Terms."""

    model: Model
    form: Form
    cut: Container[str] = frozenset()
    unsealed: bool = False
    mark: str = ""
    plain: bool = False

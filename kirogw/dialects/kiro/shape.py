"""How this installation talks to Kiro, and what the rules may look at besides the conversation."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from kirogw.dialects.provider import Model
from kirogw.settings import Settings


@dataclass(frozen=True, slots=True)
class Shape:
    """The settings that decide the form of a request, and those of emulated thinking (budgets in tokens)."""

    wire: str
    target: str
    user_agent: str
    version: str
    os: str
    agent_mode: str
    origin: str
    fake_thinking: bool
    thinking_budget: int
    thinking_cap: int

    @classmethod
    def of(cls, settings: Settings) -> Shape:
        return cls(
            wire=settings.kiro_wire, target=settings.kiro_target, user_agent=settings.kiro_user_agent,
            version=settings.kiro_version, os=settings.kiro_os, agent_mode=settings.kiro_agent_mode,
            origin=settings.kiro_origin, fake_thinking=settings.fake_reasoning_enabled,
            thinking_budget=settings.fake_reasoning_max_tokens, thinking_cap=settings.fake_reasoning_budget_cap,
        )  # fmt: skip

    def agents(self, template: str, machine: str) -> dict[str, str]:
        """The two user-agent headers; the second holds the SDK and the application of the first (kiro 2.4)."""
        agent = template.replace("{version}", self.version).replace("{os}", self.os).replace("{machine}", machine)
        return {"User-Agent": agent, "x-amz-user-agent": f"{agent.split(' ')[0]} {agent.split(' ')[-1]}"}


@dataclass(frozen=True, slots=True)
class Terms:
    """`cut` holds what is known to have been cut off: ids of calls as the client knows them, and `cuts.key` of texts.
    `unsealed`: the thoughts of earlier turns are not to be sent again, because Kiro did not believe one of them.
    `mark`: of the account that is asked (see seals); "" for any.
    """

    model: Model
    shape: Shape
    cut: Container[str] = frozenset()
    unsealed: bool = False
    mark: str = ""

"""What the views share: one per application."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import cast

from flask import current_app

from kirogw.auth import Logins
from kirogw.gateway import Gateway
from kirogw.logins.keys import Key
from kirogw.settings import Settings


@dataclass(slots=True)
class State:
    settings: Settings
    gateway: Gateway
    logins: Logins
    key: Key
    demo: bool
    pid: int
    began: float = field(default_factory=time.time)

    def stop(self, grace: float) -> None:
        """The process is to end: running answers have `grace` seconds, and the rest are told."""
        self.gateway.stop(grace)


def state() -> State:
    return cast(State, current_app.extensions["kirogw"])

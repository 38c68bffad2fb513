"""What Kiro's twin is told."""

from __future__ import annotations

from dataclasses import dataclass

from kirogw.twin.state import Common


@dataclass
class Options(Common):
    """How it behaves, beside what is common to both twins."""

    check_agent: bool = True  # refuse user agents that no first-party client sends
    builder: str = "placeholder"  # what a Builder ID must send as profileArn: placeholder, none, any
    metadata: bool = True  # send metadataEvent; some accounts never get one
    token_usage: bool = False  # tell exact token counts in metadataEvent; modelled, never seen live

"""Our own Kiro: the upstream's runtime, control plane and auth services over real HTTP, on one port of the loopback."""

from kirogw.twin.kiro.accounts import Account, as_ide_file
from kirogw.twin.kiro.upstream import Twin

__all__ = ["Account", "Twin", "as_ide_file"]

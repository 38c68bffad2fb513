"""The engines of the store's own tests."""

from tests.store.conftest import server, settings

__all__ = ["server", "settings"]

"""The name of this installation at services that want one: made once, before it is needed, and kept in the store."""

from __future__ import annotations

import uuid
from typing import Final

from kirogw.store import Conflict, Store, StoreFailed

KIND: Final = "installation"
ID: Final = "host"


def host_id(store: Store) -> str:
    """`urn:uuid:...`. Raises StoreFailed: a name that is not kept is worth nothing."""
    for _ in range(2):
        if (doc := store.get(KIND, ID)) and isinstance(name := doc.value.get("urn"), str):
            return name
        made = uuid.uuid4().urn
        try:
            store.put(KIND, ID, {"urn": made}, if_version=doc.version if doc else 0)
        except Conflict:
            continue
        return made
    raise StoreFailed("the name of this installation can not be kept; try again")

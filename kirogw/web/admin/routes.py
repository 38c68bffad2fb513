"""All routes of the administration, in one table; and the schemas that they speak of."""

from __future__ import annotations

from typing import Final

from kirogw.web import openapi
from kirogw.web.admin import accounts, keys, signins, status
from kirogw.web.admin.route import Asked, Route
from kirogw.web.admin.schemas import SCHEMAS
from kirogw.wire import Json

__all__ = ["ROUTES", "SCHEMAS"]


def _document(asked: Asked) -> Json:
    return openapi.document(ROUTES, SCHEMAS)


ROUTES: Final[tuple[Route, ...]] = (
    *status.ROUTES, *accounts.ROUTES, *keys.ROUTES, *signins.ROUTES,
    Route("GET", openapi.PATH, "This document", _document, {"type": "object"}, "state"),
)  # fmt: skip

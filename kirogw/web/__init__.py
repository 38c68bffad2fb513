"""HTTP: the application, its routes, and how errors leave. Flask is known here and nowhere else."""

from __future__ import annotations

import os
from pathlib import Path

from flask import Flask

from kirogw import log
from kirogw.auth import Logins
from kirogw.gateway import Gateway
from kirogw.logins import keys
from kirogw.settings import Settings, load
from kirogw.transport import Transport
from kirogw.web import api, failures
from kirogw.web.state import State


def create_app(settings: Settings | None = None) -> Flask:
    """The application. Starts no thread and opens no connection before the first request."""
    settings = settings or load()
    log.set_up(settings.log_level, settings.log_format)
    home = Path(settings.kirogw_home).expanduser()
    transport = Transport(settings)
    logins = Logins(settings, transport.post)
    app = Flask("kirogw", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.extensions["kirogw"] = State(
        settings=settings,
        gateway=Gateway(settings, transport, logins, keys.secret(home)),
        logins=logins,
        key=keys.Key(settings.proxy_api_key or keys.read(home)),
        demo=settings.demo,
        pid=os.getpid(),
    )
    api.add_routes(app)
    failures.add_handlers(app)
    return app

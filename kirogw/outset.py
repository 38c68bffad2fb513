"""A worker as gunicorn's arbiter knows it: enough to start one.

It has no gevent, of which the arbiter would hold 6 MB that each worker loads anew. (docs/performance.md)
"""

from __future__ import annotations

import importlib

from gunicorn.workers.base import Worker


class Outset(Worker):  # type: ignore[misc]
    """Becomes `kirogw.worker.Worker` in the process that is to be one."""

    def init_process(self) -> None:
        self.__class__ = importlib.import_module("kirogw.worker").Worker
        self.init_process()

"""The state in Redis, for several machines behind one balancer. One server, with replicas or without; no cluster.

Whatever is written runs as a script, so it is all or nothing, and by the server's clock, so it does not matter how the
machines' clocks differ. The package `redis` is needed only where STATE_URL is set.
"""

from __future__ import annotations

import importlib
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import orjson

from kirogw.log import logger
from kirogw.settings import WrongSetting
from kirogw.store import backups, keyspace, scripts, snapshots
from kirogw.store.contract import Change, Conflict, Delete, Doc, Put, StoreFailed, finite, written
from kirogw.store.owner import alive
from kirogw.store.scripts import PREFIX, VERSION
from kirogw.wire import Json

CONNECT: Final = 3.0  # seconds
ANSWER: Final = 5.0  # seconds: scripts take milliseconds
IDLE: Final = 30.0  # seconds after which a connection is tried before it is used
AGAIN: Final = 1.0  # seconds for which nobody waits for a server that has just let somebody wait
TRIES: Final = 3  # a server that was started anew has closed all our connections

T = TypeVar("T")


class RedisStore:
    """`home` takes the backup before a migration. `now`, if it is not the usual clock, also ends what has a ttl."""

    def __init__(self, url: str, home: Path, now: Callable[[], float] = time.time, ca_bundle: str = "") -> None:
        try:
            self._redis: Any = importlib.import_module("redis")
        except ImportError:
            raise WrongSetting("STATE_URL is set, but the package `redis` is missing: pip install redis") from None
        try:
            self.place, self._client = _place(url), self._connect(url, ca_bundle)
        except ValueError:  # its words may hold the password
            raise WrongSetting("STATE_URL must be a URL such as redis://user:password@host:6379/0") from None
        self._now, self._home = None if now is time.time else now, home
        self._errors: Any = self._redis.exceptions
        self._ready = False
        self._away, self._again = "", 0.0
        self._scripts = {name: self._client.register_script(getattr(scripts, name))
                         for name in ("WRITE", "LEASE", "RELEASE", "FORGET")}  # fmt: skip
        self._greet()

    def _connect(self, url: str, ca_bundle: str) -> Any:
        """One that does not try again by itself: it can not know what may be done twice."""
        tls = {"ssl_ca_certs": ca_bundle} if ca_bundle and url.startswith("rediss:") else {}
        never = self._redis.retry.Retry(importlib.import_module("redis.backoff").NoBackoff(), 0)
        return self._redis.Redis.from_url(url, socket_timeout=ANSWER, socket_connect_timeout=CONNECT, retry=never,
                                          health_check_interval=IDLE, **tls)  # fmt: skip

    # documents

    def get(self, kind: str, id: str) -> Doc | None:
        raw, now = self._with_clock(lambda pipe: pipe.hget(f"{PREFIX}doc:{kind}", id))
        return _doc(raw, now) if raw else None

    def all(self, kind: str) -> dict[str, Doc]:
        raws, now = self._with_clock(lambda pipe: pipe.hgetall(f"{PREFIX}doc:{kind}"))
        docs = {id.decode(): _doc(raw, now) for id, raw in raws.items()}
        return {id: doc for id, doc in docs.items() if doc}

    def put(self, kind: str, id: str, value: Json, *, if_version: int | None = None, ttl: float | None = None) -> int:
        return self._write([Put(kind, id, value, if_version, ttl)])[0]

    def delete(self, kind: str, id: str) -> bool:
        return bool(self._write([Delete(kind, id)])[0])

    def apply(self, changes: Sequence[Change] = (), *, durable: bool = True,
              amounts: Mapping[str, float] | None = None, logs: Mapping[str, Sequence[Json]] | None = None,
              once: str = "") -> None:  # fmt: skip
        """How durable that is the server's configuration says."""
        if changes or amounts or logs:
            self._write(changes, amounts, logs, once)

    def _write(self, changes: Sequence[Change], amounts: Mapping[str, float] | None = None,
               logs: Mapping[str, Sequence[Json]] | None = None, once: str = "") -> list[int]:  # fmt: skip
        """Each write has a name, by which the server knows one that comes again because its answer was lost."""
        words: list[Any] = [VERSION, repr(self._now()) if self._now else "", once or secrets.token_urlsafe(12)]
        words.append(len(changes))
        for change in changes:
            words += _change(change)
        sums = finite(amounts)
        words.append(len(sums))
        for name, amount in sums.items():
            words += (keyspace.bucket(name), name, repr(amount))
        words.append(len(logs or ()))
        for log, entries in (logs or {}).items():
            words += (log, len(entries), *map(written, entries))
        return list(map(int, self._script("WRITE", *words)))

    def mark(self, kinds: Sequence[str]) -> tuple[int, ...]:
        found = self._ask(lambda client: client.hmget(f"{PREFIX}marks", list(kinds))) if kinds else []
        return tuple(int(n or 0) for n in found)

    # leases: by the server's clock alone

    def lease(self, name: str, owner: str, seconds: float) -> bool:
        held = ""
        for _ in range(2):
            held = self._script("LEASE", name, owner, max(1, round(seconds * 1000)), held).decode()
            if held == owner or alive(held):
                break
        return held == owner

    def release(self, name: str, owner: str) -> None:
        self._script("RELEASE", name, owner)

    def holder(self, name: str) -> str:
        held = (self._ask(lambda client: client.get(f"{PREFIX}lease:{name}")) or b"").decode()
        return held if held and alive(held) else ""

    # counters

    def add(self, amounts: Mapping[str, float]) -> None:
        self._write([], amounts)

    def totals(self, prefix: str) -> dict[str, float]:
        places = self._buckets(prefix)
        found = self._together(lambda pipe: [pipe.hgetall(f"{PREFIX}count:{place}") for place in places])
        names = ((name.decode(), float(amount)) for bucket in found for name, amount in bucket.items())
        return {name: amount for name, amount in names if name.startswith(prefix)}

    def forget(self, prefix: str) -> None:
        self._script("FORGET", prefix, *self._buckets(prefix))

    def _buckets(self, prefix: str) -> list[str]:
        return self._ask(lambda client: keyspace.buckets(client, prefix))

    # logs

    def append(self, log: str, entries: Sequence[Json]) -> None:
        self._write([], None, {log: entries})

    def entries(self, log: str, *, after: int = 0, before: int | None = None, limit: int = 1000,
                newest: bool = False) -> list[tuple[int, Json]]:  # fmt: skip
        first, last = after + 1, "+" if before is None else before - 1
        if limit < 1 or (before is not None and before <= first):
            return []
        rows = self._rows(f"{PREFIX}log:{log}", first, last, limit, newest)
        return [(keyspace.number(id), orjson.loads(fields[b"v"])) for id, fields in rows]

    def _rows(self, key: str, first: int, last: int | str, limit: int, newest: bool = False) -> list[Any]:
        return self._ask(lambda client: client.xrevrange(key, last, first, limit) if newest
                         else client.xrange(key, first, last, limit))  # fmt: skip

    def prune(self, log: str, *, older_than: float | None = None, keep: int | None = None) -> int:
        key, gone = f"{PREFIX}log:{log}", 0
        if older_than is not None:
            young = self._first_young(key, older_than)
            gone += self._ask(lambda client: client.xtrim(key, minid=young, approximate=False))
        if keep is not None:
            gone += self._ask(lambda client: client.xtrim(key, maxlen=keep, approximate=False))
        return gone

    def _first_young(self, key: str, moment: float) -> int:
        """The number from which on entries stay. They lie in the order of time, so halving finds it."""
        last = self._rows(key, 1, "+", 1, newest=True)
        low, high = 1, keyspace.number(last[0][0]) + 1 if last else 1
        while low < high:
            middle = (low + high) // 2
            found = self._rows(key, middle, "+", 1)
            if found and float(found[0][1][b"at"]) < moment:
                low = keyspace.number(found[0][0]) + 1
            else:
                high = middle
        return low

    # everything

    def snapshot(self) -> Json:
        return self._ask(keyspace.read)

    def restore(self, snapshot: Json, *, if_marks: Mapping[str, int] | None = None) -> None:
        snapshots.check(snapshot)
        self._ask(lambda client: keyspace.restore(client, snapshot, if_marks or {}))

    def close(self) -> None:
        self._client.close()

    # the connection

    def _with_clock(self, command: Callable[[Any], Any]) -> tuple[Any, float]:
        """What a command finds, and the time at which it did."""
        found, (seconds, micros) = self._together(lambda pipe: (command(pipe), pipe.time()))
        return found, self._now() if self._now else seconds + micros / 1e6

    def _together(self, commands: Callable[[Any], object]) -> list[Any]:
        """What several commands find, in one round trip."""

        def work(client: Any) -> list[Any]:
            pipe = client.pipeline(transaction=False)
            commands(pipe)
            return list(pipe.execute())

        return self._ask(work)

    def _script(self, name: str, *words: Any) -> Any:
        return self._ask(lambda client: self._scripts[name](args=words, client=client))

    def _ask(self, work: Callable[[Any], T]) -> T:
        """After a time-out one caller at a time finds out whether the server is back; the others do not wait for it."""
        if self._away:
            if time.monotonic() < self._again:
                raise StoreFailed(self._away)
            self._again = time.monotonic() + CONNECT + ANSWER
        try:
            done = self._tried(work)
        except self._errors.RedisError as error:
            told = self._told(error)
            timed_out = isinstance(error, self._errors.TimeoutError)
            self._away, self._again = str(told) if timed_out else "", time.monotonic() + AGAIN
            raise told from error
        self._away = ""
        return done

    def _tried(self, work: Callable[[Any], T]) -> T:
        """`work` may run again: what it writes has a name, or is the same the second time."""
        for _ in range(TRIES - 1):
            try:
                return self._done(work)
            except self._errors.ConnectionError:  # a time-out is none
                self._client.connection_pool.disconnect(inuse_connections=False)
        return self._done(work)

    def _done(self, work: Callable[[Any], T]) -> T:
        if not self._ready:
            self._prepare()
        return work(self._client)

    def _greet(self) -> None:
        """A server that can not be reached now may be there in a moment; one that we can not use stops the start."""
        try:
            self._prepare()
            self._warn()
        except (self._errors.ConnectionError, self._errors.TimeoutError) as error:
            told = self._told(error)
            if isinstance(error, (self._errors.AuthenticationError, self._errors.AuthorizationError)):
                raise told from error
            logger.error("%s", told)
        except self._errors.RedisError as error:
            raise self._told(error) from error

    def _prepare(self) -> None:
        found = keyspace.migrate(self._client, self._back_up)
        if found != VERSION:
            raise self._newer(found)
        self._ready = True

    def _warn(self) -> None:
        """Of a server that is not set up to keep what it is given."""
        try:
            found = {**self._client.info("persistence"), **self._client.info("memory")}
        except self._errors.ResponseError:  # not for everybody
            return
        if not found.get("aof_enabled"):
            logger.warning("%s writes to its disk only now and then: when it ends, the newest logins and figures are"
                           " lost. Set appendonly yes", self.place)  # fmt: skip
        if str(found.get("maxmemory_policy")).startswith("allkeys"):
            logger.warning("%s throws logins away when it is full. Set maxmemory-policy noeviction", self.place)

    def _back_up(self, snapshot: Json, version: int) -> None:
        backups.of_snapshot(self._home, snapshot, version, time.time())

    def _newer(self, version: int) -> StoreFailed:
        """Others may be newer than this process and have migrated the keys meanwhile."""
        by = f"kirogw {made}" if (made := keyspace.writer(self._client)) else "a newer kirogw"
        return StoreFailed(f"{self.place} belongs to {by} (its version is {version}, this one knows {VERSION}):"
                           " start that one")  # fmt: skip

    def _told(self, error: Exception) -> Exception:
        """What a caller may hear of it."""
        code, _, rest = str(error).partition(" ")
        if "CERTIFICATE_VERIFY_FAILED" in rest:
            code = "TLS"
        if code == "CONFLICT":
            return Conflict(f"{rest} has been changed by somebody else")
        if code == "VERSION":
            return self._newer(int(rest))
        names = (cls.__name__ for cls in type(error).__mro__)
        words = next((FAULTS[name] for name in (code, *names) if name in FAULTS), "")
        return StoreFailed(f"{self.place} {words or f'can not be used: {str(error)[:200]}'}")


FAULTS: Final = {
    "AuthenticationError": "does not take the password in STATE_URL; mend that",
    "NOAUTH": "wants a password; put it into STATE_URL",
    "NoPermissionError": "does not allow the user in STATE_URL all commands and keys; allow them",
    "BusyLoadingError": "is just starting; it is tried again",
    "ReadOnlyError": "is a replica, which can not be written; STATE_URL must name the primary",
    "OutOfMemoryError": "is full; give it more memory (maxmemory)",
    "TLS": "has a certificate that is not trusted; CA_BUNDLE must have its authority, STATE_URL its name",
    "MISCONF": "can not write to its disk; make room there",
    "TimeoutError": "does not answer in time; it is tried again",
    "ConnectionError": "can not be reached; start it, or mend STATE_URL",
}


def _place(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return f"Redis at {parts.path}"
    return f"Redis at {parts.hostname or 'localhost'}:{parts.port or 6379}{parts.path.rstrip('/')}"


def _doc(raw: bytes, now: float) -> Doc | None:
    version, at, ends, value = raw.split(b"|", 3)
    if ends and float(ends) <= now:
        return None
    return Doc(orjson.loads(value), int(version), float(at))


def _change(change: Change) -> tuple[Any, ...]:
    if isinstance(change, Delete):
        return "delete", change.kind, change.id, "", "", ""
    want = "" if change.if_version is None else change.if_version
    ttl = "" if change.ttl is None else repr(float(change.ttl))
    return "put", change.kind, change.id, want, ttl, written(change.value)

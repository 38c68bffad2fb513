"""Answers that their clients come back to: by their id, and as what the next question goes on from.

Of each answer the store holds its own part and the id of the one before it, so that no conversation is there twice. It
is sealed, for a conversation is private, and only the key that asked can have it. Nothing waits for the store when an
answer ends: it is kept in memory, where this process finds it at once, and written a moment later, for which the other
processes wait when they are asked for an answer that they do not find. What is kept goes when its time is over,
a conversation that goes on with all that it goes on from, and the oldest goes first when all of it takes too much.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import orjson

from kirogw import log
from kirogw.dialects.responses.chain import ID, Turn, answer_of, references, resolved
from kirogw.errors import NotFound, NotKept, StoreAway, TooLong
from kirogw.settings import Settings
from kirogw.store import Conflict, Delete, Doc, Put, StoreFailed
from kirogw.store.sync import Sync
from kirogw.wire import Json

KIND: Final = "response"
LOG: Final = "responses"  # ids and sizes in the order in which they were written
DAY: Final = 86400.0
LARGEST: Final = 32 * 1024 * 1024  # bytes of JSON
PACKED: Final = 1024 * 1024  # bytes up to which packing stops nobody for long
WAITING: Final = 64 * 1024 * 1024  # bytes that may wait for a store which fails
PIECE: Final = 256 * 1024  # bytes that are sealed and written at once
MANY: Final = 20  # answers, likewise
SOON: Final = 0.03  # seconds for which others may join what is written next
PATIENCE: Final = 1.5  # seconds in which another process surely writes what it has kept
STEPS: Final = (0.02, 0.1)  # seconds between two looks, growing
LEAVE: Final = 5.0  # seconds for the last round
PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class _Waiting:
    owner: str
    data: bytes


class Kept:
    """All that is kept for clients. Safe for all threads. What its own thread can not write is tried again by `sync`.

    `seal` and `unseal` are the installation's; `unseal` gives None for what can not be opened any more.
    """

    def __init__(self, settings: Settings, sync: Sync, seal: Callable[[bytes], str],
                 unseal: Callable[[str], bytes | None], now: Callable[[], float] = time.time) -> None:  # fmt: skip
        self._life, self._most = settings.response_store_days * DAY, settings.response_store_bytes
        self._longest = settings.max_body_bytes
        self._store, self._seal, self._unseal, self._now = sync.store, seal, unseal, now
        self._lock = threading.Lock()  # for what waits: held for microseconds
        self._writing = threading.Lock()  # so that what is deleted is not on its way to the store
        self._waiting: dict[str, _Waiting] = {}
        self._size = 0
        self._touched: dict[str, Doc] = {}
        self._more, self._ends = threading.Event(), False
        self._thread: threading.Thread | None = None
        sync.every(0.0, self.write)

    @property
    def keeps(self) -> bool:
        """Whether anything is kept at all."""
        return self._life > 0

    # for requests

    def keep(self, owner: str, turn: Turn) -> None:
        """Never waits. `owner` tells apart whose answers these are: the id of a key."""
        id = turn.response["id"]
        data = _dumped(turn)
        if not 0 < len(data) <= LARGEST:
            log.logger.warning("the answer %s is too large or too deep to be kept", id)
            return
        dropped = 0
        with self._lock:
            self._forget(id)
            self._waiting[id] = _Waiting(owner, data)
            self._size += len(data)
            while self._size > WAITING:
                self._forget(next(iter(self._waiting)))
                dropped += 1
        self._more.set()
        if dropped:
            log.logger.warning("%d answers that could not be written are not kept any more", dropped)

    def get(self, owner: str, id: str, patience: float = PATIENCE) -> Turn:
        """Raises NotFound, after `patience` seconds in which another process may write it; StoreAway."""
        if data := self._found(owner, id, self._until(patience)):
            return _turn(data)
        raise NotFound(f"Response with id '{id[:80]}' not found.")

    def chain(self, owner: str, id: str) -> list[Turn]:
        """The answer with this id and all that it goes on from, the oldest first. Raises NotKept, StoreAway, or TooLong
        for more than a client could send.
        """
        if not self.keeps:
            raise NotKept("this gateway keeps no responses (RESPONSE_STORE_DAYS is 0), so there is none to go on from;"
                          " send the whole conversation as `input`", param="previous_response_id")  # fmt: skip
        turns: list[Turn] = []
        size, deadline = 0, self._until(PATIENCE)
        while id:
            data = self._found(owner, id, deadline)
            if data is None:
                raise NotKept(f"Previous response with id '{id[:80]}' not found.", param="previous_response_id")
            size += len(data)
            if size > self._longest:
                raise TooLong("what it goes on from is larger than MAX_BODY_BYTES allows; begin anew, with a summary")
            turns.append(_turn(data))
            id = turns[-1].before
        return turns[::-1]

    def context(self, owner: str, turns: Iterable[Turn]) -> list[Json]:
        """All items of a conversation, each in full. Raises NotFound or StoreAway."""
        items = [item for turn in turns for item in turn.items]
        return resolved(items, self.items(owner, references(items), items)) if references(items) else items

    def items(self, owner: str, ids: Iterable[str], among: Iterable[Json] = ()) -> dict[str, Json]:
        """The items with these ids: of those in `among`, else of the answers that their ids name. Raises NotFound."""
        known = {item["id"]: item for item in among if item.get("type") != "item_reference" and "id" in item}
        deadline = self._until(PATIENCE)
        found: dict[str, Json] = {}
        for id in ids:
            if id not in known and (answer := answer_of(id)):
                data = self._found(owner, answer, deadline)
                known.update((item["id"], item) for item in (_turn(data).items if data else ()) if "id" in item)
            if id not in known:
                raise NotFound(f"Item with id '{id[:80]}' not found. Items are kept only of responses that are stored:"
                               " send the item itself.", param="input")  # fmt: skip
            found[id] = known[id]
        return found

    def delete(self, owner: str, id: str) -> None:
        """It is gone for good. Raises NotFound or StoreAway."""
        self.get(owner, id)
        with self._writing, _store_away():
            with self._lock:
                self._forget(id)
                self._touched.pop(id, None)
            self._store.apply([Delete(KIND, id)], logs={LOG: [_entry(id, "")]})

    def _forget(self, id: str) -> None:
        if waiting := self._waiting.pop(id, None):
            self._size -= len(waiting.data)

    # looking

    def _until(self, patience: float) -> float:
        return time.monotonic() + (patience if self.keeps else 0.0)

    def _found(self, owner: str, id: str, deadline: float) -> bytes | None:
        if not ID.fullmatch(id):
            return None
        step, longest = STEPS
        while True:
            if waiting := self._waiting.get(id):
                return waiting.data if waiting.owner == owner else None
            with _store_away():
                doc = self._store.get(KIND, id)
            if doc:
                return self._opened(owner, id, doc)
            if time.monotonic() >= deadline:
                return None
            time.sleep(step)
            step = min(longest, 1.5 * step)

    def _opened(self, owner: str, id: str, doc: Doc) -> bytes | None:
        if doc.value.get("owner") != owner:
            return None
        data = self._unseal(doc.value["sealed"])
        if data is None:
            log.logger.warning("the kept answer %s is sealed with a key that is not here", id)
            return None
        if self._now() - doc.at > self._life / 2:
            self._touched[id] = doc
        return zlib.decompress(data) if doc.value.get("packed") else data

    # writing

    def start(self) -> None:
        """Once in each process that serves, after any fork."""
        if self.keeps:
            self._thread = threading.Thread(target=self._run, name="kirogw-kept", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while self._more.wait() and not self._ends:
            time.sleep(SOON)
            self._more.clear()
            with contextlib.suppress(StoreFailed):  # Sync tells it when it meets that, too
                self.write()

    def write(self) -> None:
        """What waits. Raises StoreFailed; then it goes on waiting."""
        with self._writing:
            while piece := self._piece():
                self._write(piece)
                self._written(piece)
            while self._touched:
                self._keep_on(*self._touched.popitem())

    def close(self) -> None:
        """For the end of the process."""
        self._ends = True
        self._more.set()
        if self._thread:
            self._thread.join(LEAVE)
        with contextlib.suppress(StoreFailed):
            self.write()

    def _piece(self) -> dict[str, _Waiting]:
        piece: dict[str, _Waiting] = {}
        size = 0
        with self._lock:
            for id, waiting in self._waiting.items():
                size += len(waiting.data)
                if piece and (size > PIECE or len(piece) >= MANY):
                    break
                piece[id] = waiting
        return piece

    def _write(self, piece: dict[str, _Waiting]) -> None:
        docs = {}
        for id, waiting in piece.items():
            try:
                docs[id] = self._sealed(waiting)
            except StoreFailed:
                raise
            except Exception as error:  # such as a key that is not here
                log.logger.error("the answer %s can not be kept: %s", id, error)
            time.sleep(0)
        changes = [Put(KIND, id, doc, None, self._life) for id, doc in docs.items()]
        entries = [_entry(id, doc["sealed"]) for id, doc in docs.items()]
        self._store.apply(changes, durable=False, logs={LOG: entries})

    def _written(self, piece: dict[str, _Waiting]) -> None:
        with self._lock:
            for id, waiting in piece.items():
                if self._waiting.get(id) is waiting:
                    self._forget(id)

    def _keep_on(self, id: str, doc: Doc) -> None:
        """It is read, so its time begins anew."""
        again = Put(KIND, id, doc.value, doc.version, self._life)
        with contextlib.suppress(Conflict):  # somebody else has touched or deleted it
            self._store.apply([again], durable=False, logs={LOG: [_entry(id, doc.value["sealed"])]})

    def _sealed(self, waiting: _Waiting) -> Json:
        packed = len(waiting.data) <= PACKED
        return {"owner": waiting.owner, "packed": packed,
                "sealed": self._seal(zlib.compress(waiting.data, 1) if packed else waiting.data)}  # fmt: skip

    # making room

    def prune(self, now: float) -> int:
        """How many answers went because all of them took too much. By one process for all, now and then."""
        self._store.prune(LOG, older_than=now - self._life)
        last = self._last()
        size, gone, upto = sum(size for _, size in last.values()), [], 0
        for id, (number, bytes_) in sorted(last.items(), key=lambda row: row[1]):
            if size <= self._most:
                break
            size, upto = size - bytes_, number
            gone.append(id)
        for n in range(0, len(gone), MANY):
            self._store.apply([Delete(KIND, id) for id in gone[n : n + MANY]], durable=False)
        if gone:
            self._store.prune(LOG, keep=sum(1 for _ in self._entries(upto)))
            log.logger.warning("%d kept answers went, since all take more than RESPONSE_STORE_BYTES", len(gone))
        return len(gone)

    def _last(self) -> dict[str, tuple[int, int]]:
        """Of each answer the number of its last entry and its size."""
        return {str(entry["id"]): (number, int(entry["bytes"])) for number, entry in self._entries(0)}

    def _entries(self, after: int) -> Iterator[tuple[int, Json]]:
        while entries := self._store.entries(LOG, after=after, limit=PAGE):
            yield from entries
            after = entries[-1][0]


def _entry(id: str, sealed: str) -> Json:
    return {"id": id, "bytes": len(sealed)}


@contextlib.contextmanager
def _store_away() -> Iterator[None]:
    """What the store says when it fails is for the log, and it has been told there."""
    try:
        yield
    except StoreFailed as error:
        raise StoreAway("the gateway's store, where answers are kept, can not be used just now; try again in a moment",
                        wait=2.0) from error  # fmt: skip


def _dumped(turn: Turn) -> bytes:
    """Empty when it is too deep."""
    value = {"response": turn.response, "input": turn.input, "before": turn.before}
    try:
        return orjson.dumps(value)
    except TypeError:  # halves of surrogate pairs, or more levels than orjson writes
        pass
    try:
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    except RecursionError:
        return b""


def _turn(data: bytes) -> Turn:
    try:
        value: Json = orjson.loads(data)
    except orjson.JSONDecodeError:  # too deep for it
        value = json.loads(data)
    return Turn(value["response"], value["input"], value["before"])

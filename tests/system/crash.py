"""The crash test: `python -m tests.system.crash [--seconds N] [--redis] [--seed N]`.

A gateway of four gunicorn workers and two that are one process each share one store and four accounts, whose refresh
tokens work only once. Clients ask without a pause; every 200 ms some account's token is renewed by force, or runs out
without a word; every second a process is killed with SIGKILL. Prints what became of it, and fails if a token was
redeemed twice, a login was lost that could have been kept, or a request failed that did not run in a killed process.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import http.client
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import requests

from kirogw.auth import Logins
from kirogw.dialects.kiro import credential
from kirogw.errors import GatewayError, NeedsLogin
from kirogw.settings import load
from kirogw.store import open_store
from kirogw.twin import Account, Twin, as_ide_file
from kirogw.twin.state import Redemption
from tests.logins import support
from tests.store.servers import redis_server
from tests.system.heard import read
from tests.system.running import KEY, TOP, environment, free_port
from tests.system.talk import MODEL, PATHS

CLIENTS = 10
FORCED = 0.2  # seconds between two renewals by force
KILLED = 1.0  # seconds between two kills
ISSUED = 0.1  # seconds from a token's being redeemed to its answer's leaving, so that kills fall in between
DYING = 0.2  # seconds; a new process takes longer to listen
SEEN = 5.0  # seconds until a new login in a file has surely been read
HEALING = 10.0  # seconds until an owner sees that he must sign in, and does
WRITING = 5.0  # seconds in which a token that was redeemed is on the disk, on a busy machine too
STORED, FILED = ("one", "two", "three"), "four"
TEXT = "one two three four five six seven eight nine ten eleven twelve"
ADMIN = "kgw_for-the-owner-in-tests-0123456789abcdef"
SINGLE = "from kirogw import serve; from kirogw.settings import load; serve._pywsgi(load(), lambda *_: None)"


class Gateway:
    """One of those that share the store; `workers` of gunicorn, or 0 for a single process."""

    def __init__(self, name: str, home: Path, settings: dict, workers: int) -> None:
        self.name, self.workers, self.port = name, workers, free_port()
        self._home = home
        self._settings = {**settings, "SERVER_PORT": self.port, "SERVER_WORKERS": workers or 1}
        self._command = [sys.executable, str(TOP / "kirogw.py")] if workers else [sys.executable, "-c", SINGLE]
        self.log = home / f"{name}.log"
        self.start()

    def start(self) -> None:
        with self.log.open("a") as out:
            self.process = subprocess.Popen(self._command, cwd=self._home, env=environment(self._home, self._settings), stdout=out, stderr=out)

    def victims(self) -> list[int]:
        if not self.workers:
            return [self.process.pid]
        with contextlib.suppress(OSError):
            return [int(pid) for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()]
        return []

    def stop(self) -> None:
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(100)
        self.process.kill()
        self.process.wait()

    def ready(self) -> bool:
        with contextlib.suppress(requests.RequestException):
            return requests.get(f"http://127.0.0.1:{self.port}/health", timeout=5).ok
        return False


@dataclass
class Kill:
    at: float
    pid: int
    gateway: str
    ports: frozenset | None  # of clients whose connections it held; None for a single process, which holds all
    dead: float = float("inf")  # when it listens no more


@dataclass
class Broken:
    """A request that came to no whole answer. `why` it is not; `said`: what the gateway said, "" when it was cut off."""

    port: int
    gateway: str
    began: float
    ended: float
    why: str
    said: str


@dataclass
class Figures:
    """What became of it. `faults` must stay empty."""

    name: str
    seconds: float = 0.0
    whole: int = 0
    killed: int = 0
    cut: int = 0  # requests that ran in a killed process, or came when each login had gone with one
    redeemed: int = 0
    forced: int = 0
    expired: int = 0
    repeated: int = 0  # a token was sent once more, by the successor of a process that was killed with it on its way
    double: int = 0
    in_flight: int = 0  # logins lost between the request's leaving and the answer's being on the disk
    lost: int = 0
    slowest: float = 0.0
    faults: list[str] = field(default_factory=list)

    def line(self) -> str:
        return (
            f"{self.name}: {self.whole} requests served in {self.seconds:.0f} s, the slowest in {self.slowest:.1f} s; {self.killed}"
            f" processes killed, {self.cut} requests cut off with them; {self.forced} renewals by force and {self.expired} tokens that ran"
            f" out, {self.redeemed} redemptions, {self.double} of them double ({self.repeated} tokens were sent once more for a process"
            f" that was killed); {self.in_flight} logins lost in flight, which nobody can save; {self.lost} lost otherwise;"
            f" {len(self.faults)} faults"
        )  # fmt: skip


class Field:
    """The twin, the gateways, and the accounts as they lie in the store and in a file."""

    def __init__(self, twin: Twin, folder: Path, redis: str, chance: random.Random) -> None:
        self.twin, self.folder, self.chance, self._twins_port = twin, folder, chance, urlsplit(twin.url).port
        self.ide_file = support.write_ide_file(folder / "four.json", self.account(FILED), support.stamp(time.time() + 3600))
        common = {
            **twin.settings(), "KIRO_CREDS_FILE": self.ide_file, "ADMIN_API_KEY": ADMIN, "RETRY_PACE": 0.05, "HEARTBEAT": 1,
            "LOG_LEVEL": "info",
        }  # fmt: skip
        if redis:
            common |= {"STATE_URL": redis, "KIROGW_SECRET_KEY": secrets.token_urlsafe(32)}
        homes = [folder / (f"machine-{n}" if redis else "machine") for n in range(3)]
        for home in homes:
            home.mkdir(exist_ok=True)
        settings = load({}, environment(homes[0], common), None)
        self.store = open_store(settings)
        self.logins = Logins(settings, support.Network(), self.store, home=homes[0])
        self.ids = {name: self.logins.add(self.credential(name), label=name) for name in STORED}
        self.ids[FILED] = next(a.id for a in self.logins.accounts() if a.source == str(self.ide_file))
        self.gateways = [Gateway(f"gateway-{n}", home, common, 4 if n == 0 else 0) for n, home in enumerate(homes)]
        self.kills: list[Kill] = []
        self.signed_in: dict[str, list[float]] = {name: [] for name in (*STORED, FILED)}
        self._senders: dict[int, int | None] = {}  # number of a redemption's request -> the process that sent it, if it still was there
        twin.service.answer = functools.partial(self._answer, twin.service.answer)

    def account(self, name: str) -> Account:
        return self.twin.accounts.all[name]

    def credential(self, name: str) -> credential.Credential:
        return credential.read(as_ide_file(self.account(name), support.stamp(time.time() + 3600)), None, "")

    def sign_in(self, name: str) -> None:
        """Its owner signs in anew, where the login lies."""
        self.signed_in[name].append(time.time())
        self.twin.accounts.issue(self.account(name), None)
        if name == FILED:
            support.write_ide_file(self.ide_file, self.account(name), support.stamp(time.time() + 3600))
        else:
            self.logins.add(self.credential(name), id=self.ids[name])

    def kill(self) -> bool:
        """A process is killed, and what it was doing is noted. False: it had just ended by itself, or been killed."""
        gateway, pid = self.chance.choice([(gateway, pid) for gateway in self.gateways for pid in gateway.victims()])
        try:
            os.kill(pid, signal.SIGSTOP)  # so that it takes no further connection
            _until(lambda: _state(pid) in "TZ", 60)
            ports = frozenset(_clients(pid, gateway.port)) if gateway.workers else None
            kill = Kill(time.time(), pid, gateway.name, ports)
            self.kills.append(kill)
            os.kill(pid, signal.SIGKILL)
        except OSError:
            return False
        kill.dead = time.time()
        if not gateway.workers:
            gateway.process.wait()
            kill.dead = time.time()
            gateway.start()
        return True

    def ran_in_a_killed_process(self, broken: Broken) -> bool:
        """A single process listens until it is quite dead, so what comes in the next moment is its own, too."""
        return any(
            kill.gateway == broken.gateway and broken.began <= kill.dead + DYING and kill.at <= broken.ended + DYING
            and (kill.ports is None or broken.port in kill.ports)
            for kill in self.kills
        )  # fmt: skip

    def _answer(self, answer, incoming, seen):
        given = answer(incoming, seen)
        if seen.operation == "refresh":
            self._senders[seen.number] = self._sender(incoming.port)
        return given

    def _sender(self, port: int) -> int | None:
        for pid in (os.getpid(), *(pid for gateway in self.gateways for pid in gateway.victims())):
            with contextlib.suppress(OSError):
                if (port, self._twins_port) in _connections(pid):
                    return pid
        return None

    def killed_with(self, entry: Redemption) -> bool:
        """Was the process killed that sent it, before the answer can have been on the disk? One that is not known was gone
        when the twin looked.
        """
        sender = self._senders.get(entry.number)
        return any(sender in (None, kill.pid) and abs(kill.at - entry.at) <= WRITING for kill in self.kills)

    def story(self, name: str) -> str:
        """The account's last redemptions, with who sent them, and the last kills: for whoever must find out why."""
        sent = [f"{e.at:.2f} {e.generation} {e.outcome} by {self._senders.get(e.number)}" for e in self.twin.ledger.of(name)[-5:]]
        return f"{time.time():.2f}: redeemed {sent}, signed in {self.signed_in[name][-2:]}, killed {[(k.at, k.pid) for k in self.kills[-5:]]}"

    def nobody_had_a_login(self, broken: Broken) -> bool:
        """Each account had lost its login with a killed process, and its owner had to sign in after that."""
        return "Somebody must sign in" in broken.said and all(
            any(broken.began <= at <= broken.ended + HEALING for at in times) for times in self.signed_in.values()
        )

    def close(self) -> None:
        for gateway in self.gateways:
            gateway.stop()
        self.store.close()


def _until(condition, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not (done := condition()) and time.monotonic() < deadline:
        time.sleep(0.005)
    return done


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def _clients(pid: int, port: int) -> Iterator[int]:
    """The clients' ports of the connections that the process holds to `port`."""
    return (remote for local, remote in _connections(pid) if local == port)


def _connections(pid: int) -> Iterator[tuple[int, int]]:
    """The ports, its own and the other side's, of the process' connections. Raises OSError when it is gone."""
    sockets = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            sockets.add(str(entry.readlink()))
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if f"socket:[{fields[9]}]" in sockets:
            yield int(fields[1].rpartition(":")[2], 16), int(fields[2].rpartition(":")[2], 16)


class Load:
    """Clients that ask, each again as soon as it has its answer."""

    def __init__(self, place: Field, figures: Figures) -> None:
        self._place, self._figures = place, figures
        self._over = threading.Event()
        self._lock = threading.Lock()
        self.broken: list[Broken] = []
        self._threads = [threading.Thread(target=self._ask_on, args=(random.Random(n),)) for n in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask_on(self, chance: random.Random) -> None:
        while not self._over.is_set():
            gateway = chance.choice(self._place.gateways)
            connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=90)
            try:
                connection.connect()
            except OSError:  # as a balancer does: there are others
                time.sleep(0.02)
                continue
            with contextlib.closing(connection):
                self._ask(connection, gateway, chance)

    def _ask(self, connection: http.client.HTTPConnection, gateway: Gateway, chance: random.Random) -> None:
        face, stream = chance.choice(list(PATHS)), chance.random() < 0.7
        body = {"model": MODEL, "max_tokens": 1000, "stream": stream, "messages": [{"role": "user", "content": f"Count {chance.random()}."}]}
        port, began, whole, said = connection.sock.getsockname()[1], time.time(), False, ""
        try:
            connection.request("POST", PATHS[face], json.dumps(body), {"x-api-key": KEY, "Content-Type": "application/json"})
            reply = connection.getresponse()
            data = reply.read()
        except (OSError, http.client.HTTPException) as error:
            why = type(error).__name__
        else:
            whole, said = _heard(face, reply, data)
            why = "not whole"
        ended = time.time()
        with self._lock:
            self._figures.slowest = max(self._figures.slowest, ended - began)
            if whole:
                self._figures.whole += 1
            else:
                self.broken.append(Broken(port, gateway.name, began, ended, why, said))


def _heard(face: str, reply: http.client.HTTPResponse, data: bytes) -> tuple[bool, str]:
    """Whether it is the whole answer, and else what it is."""
    reply.status_code = reply.status  # as `requests` calls it
    try:
        heard = read(face, reply, data)
    except (AssertionError, ValueError, KeyError):
        return False, f"{reply.status} {data[:200]!r}"
    if heard.clean and heard.text == TEXT:
        return True, ""
    return False, f"{heard.status} {heard.type} {heard.words}" if heard.failed else f"{heard.status} {heard.stop} {heard.text!r}"


def run(seconds: float, redis: str = "", seed: int = 0) -> Figures:
    figures = Figures("Redis" if redis else "SQLite")
    accounts = [{"name": name, "kind": "social"} for name in (*STORED, FILED)]
    with tempfile.TemporaryDirectory(prefix="kirogw-test-") as folder, Twin(accounts=accounts, rotation="strict") as twin:
        twin.script([{"steps": [{"text": TEXT, "pace": 0.01}], "repeat": True}])
        twin.faults.add(operation="refresh", slow=ISSUED, count=None)
        place = Field(twin, Path(folder), redis, random.Random(seed))
        try:
            assert _until(lambda: all(gateway.ready() for gateway in place.gateways), 200), "the gateways do not start"
            _play(place, figures, seconds)
            _judge(place, figures)
            _search_logs(place, figures)
        finally:
            place.close()
    return figures


def _play(place: Field, figures: Figures, seconds: float) -> None:
    began = time.monotonic()
    load = Load(place, figures)
    try:
        next_kill, next_force, kills = began + KILLED, began, 1
        while time.monotonic() < began + seconds:
            if time.monotonic() >= next_kill:
                kills += 1
                next_kill = began + KILLED * (kills + place.chance.uniform(-0.3, 0.3))  # at any moment of a renewal
                figures.killed += place.kill()
                _heal(place, figures)
            if time.monotonic() >= next_force:
                next_force = max(next_force + FORCED, time.monotonic() - FORCED)
                threading.Thread(target=_force, args=(place, figures), daemon=True).start()
            time.sleep(0.01)
    finally:
        load.end()
    figures.seconds = time.monotonic() - began
    for broken in load.broken:
        if place.ran_in_a_killed_process(broken) if not broken.said else place.nobody_had_a_login(broken):
            figures.cut += 1
        else:
            figures.faults.append(f"a request failed at {broken.gateway} after {broken.ended - broken.began:.2f} s: {broken.why} {broken.said}")


def _force(place: Field, figures: Figures) -> None:
    """A token is renewed although nobody needs it, or it runs out and nobody is told."""
    name = place.chance.choice(list(place.ids))
    if place.chance.random() < 0.5:
        place.twin.accounts.expire(name)
        figures.expired += 1
        return
    gateway = place.chance.choice(place.gateways)
    with contextlib.suppress(requests.RequestException):
        reply = requests.post(f"http://127.0.0.1:{gateway.port}/api/accounts/{place.ids[name]}/refresh", json={},
                              headers={"x-api-key": ADMIN}, timeout=100)  # fmt: skip
        figures.forced += reply.ok


def _heal(place: Field, figures: Figures) -> None:
    """A login that went with a killed process is one that nobody can save; its owner signs in again."""
    states = {account.id: account.state for account in place.logins.accounts()}
    for name, id in place.ids.items():
        just_now = any(time.time() - at < SEEN for at in place.signed_in[name][-1:])
        if states.get(id) == "login" and not just_now:
            _given_up(place, figures, name)


def _given_up(place: Field, figures: Figures, name: str) -> None:
    held = place.logins.credential(place.ids[name]).refresh
    refresh = place.twin.accounts._refresh[held]
    if refresh.children and place.killed_with(_redeemed(place.twin.ledger.of(name), refresh.generation)):
        figures.in_flight += 1
    else:
        figures.lost += 1
        figures.faults.append(f"the login of {name} was given up, generation {refresh.generation}, redeemed: {bool(refresh.children)}; {place.story(name)}")
    place.sign_in(name)


def _redeemed(entries: list[Redemption], generation: int) -> Redemption:
    """When that token was redeemed: the last of its generation, since each sign-in begins them anew."""
    return next(entry for entry in reversed(entries) if entry.generation == generation and entry.outcome == "ok")


def _judge(place: Field, figures: Figures) -> None:
    """After the last kill, every account is to be renewed by whoever wants to."""
    assert _until(lambda: all(gateway.ready() for gateway in place.gateways), 200), "the gateways are not all back"
    _heal(place, figures)
    for name, id in place.ids.items():
        try:
            place.logins.refresh(id)  # it may be content with what another process has renewed since this one looked
            login = place.logins.refresh(id)
        except NeedsLogin:
            _given_up(place, figures, name)
        except GatewayError as error:
            figures.faults.append(f"{name} can not be renewed: {error}")
        else:
            if login.token != place.account(name).access_token or place.logins.credential(id).refresh not in place.twin.accounts.living(name):
                figures.faults.append(f"the login of {name} is not the last one that was made; {place.story(name)}")
    figures.redeemed = place.twin.ledger.redeemed
    for name in place.ids:
        entries = place.twin.ledger.of(name)
        for n, entry in enumerate(entries):
            if entry.outcome == "reused":
                excused = place.killed_with(_redeemed(entries[:n], entry.generation))
                figures.repeated += excused
                figures.double += not excused
    if figures.double:
        figures.faults.append(f"{figures.double} tokens were redeemed twice although nobody was killed")


def _search_logs(place: Field, figures: Figures) -> None:
    for gateway in place.gateways:
        said = gateway.log.read_text()
        if "Traceback" in said:
            figures.faults.append(f"{gateway.name} met a fault of its own: {said[said.index('Traceback'):][:2000]}")
        if any(token in said for token in place.twin.accounts._refresh):
            figures.faults.append(f"a token is in the log of {gateway.name}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.system.crash", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--redis", action="store_true", help="the state is in a Redis of its own, and each gateway has its own home")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    with redis_server() if given.redis else contextlib.nullcontext() as server:
        figures = run(given.seconds, server.url if server else "", given.seed)
    print(figures.line(), *figures.faults[:30], sep="\n  ", flush=True)
    return 1 if figures.faults else 0


if __name__ == "__main__":
    sys.exit(main())

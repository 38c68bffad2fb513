"""Races for a refresh token that works only once: `python -m tests.logins.races [--rounds N] [--kills N]`.

Many threads of many processes want the same account's token renewed at the same moment, first undisturbed, then with
`kill -9` falling upon one of the processes at random; on SQLite, and on a real Redis. Prints what became of it, and fails
if a login was lost that could have been kept.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from kirogw.dialects.codex import credential as codex
from kirogw.dialects.credential import Credential
from kirogw.errors import NeedsLogin
from kirogw.logins.sealed import Unsealable, new_key
from kirogw.twin import Account, Twin
from kirogw.twin.codex import Account as CodexAccount
from kirogw.twin.codex import CodexTwin, as_codex_file
from tests.logins import support
from tests.logins.races import racer
from tests.store.servers import Redis, redis_server

PROCESSES = 4
THREADS = 4
SEALED = re.compile(r"kgs1\.[\w.=-]+")
PLACES = ("file", "database", "token", "stored", "codex", "siwc")
FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(["tests.logins.races.racer"])


class Field:
    """A twin with two accounts, both signed in on this disk; the gateway calls them `first` and `second`. The races are
    for the first, whose login lies in a `file`, a `database`, only in the settings (`token`), or in the store (`stored`).
    """

    operation = "refresh"  # what a redemption is called in the twin

    def __init__(self, twin: Twin | CodexTwin, folder: Path, where: str, url: str) -> None:
        self.twin, self.folder, self._where = twin, folder, where
        self.environ = {**twin.settings(), "KIROGW_HOME": str(folder / "home"), "STATE_URL": url,
                        "KIROGW_SECRET_KEY": new_key()}  # fmt: skip
        self._write("second", "database" if where == "file" else "file")
        self.first = ""
        self.sign_in()

    @property
    def stored(self) -> bool:
        return self._where == "stored"

    @property
    def account(self) -> Account:
        return self.twin.accounts.all["first"]

    @property
    def other(self) -> Account:
        return self.twin.accounts.all["second"]

    def sign_in(self) -> None:
        """The owner signs in anew: new tokens, in the same place. Only a token in the settings needs a restart then."""
        self.twin.accounts.issue(self.account, None)
        if self.stored:
            self.first = racer.logins(self.environ).add(self._login(), id=self.first)
        else:
            self._write("first", self._where)
        if self._where == "token" or not hasattr(self, "watcher"):
            self.watcher = racer.logins(self.environ)  # a gateway that goes on
            ids = {account.source: account.id for account in self.watcher.accounts()}
            self.first = self.first if self.stored else ids[self.place("first", self._where)]
            self.second = next(id for id in ids.values() if id != self.first)

    def _login(self) -> Credential:
        account, ends = self.account, time.time() + 3600
        return Credential("social", account.access_token, account.refresh_token, ends)

    def place(self, name: str, where: str) -> str:
        ending = {"file": "json", "database": "sqlite3"}.get(where)
        return str(self.folder / f"{name}.{ending}") if ending else "REFRESH_TOKEN"

    def _write(self, name: str, where: str) -> None:
        account, later = self.twin.accounts.all[name], support.stamp(time.time() + 3600)
        place = Path(self.place(name, where))
        if where == "file":
            self.environ["KIRO_CREDS_FILE"] = str(support.write_ide_file(place, account, later))
        elif where == "database":
            place.unlink(missing_ok=True)
            self.environ["KIRO_CLI_DB_FILE"] = str(support.write_database(place, account, expires_at=later))
        else:
            self.environ["REFRESH_TOKEN"] = account.refresh_token

    def on_disk(self) -> str:
        """The refresh token that a new process would find."""
        if self._where == "file":
            return str(json.loads((self.folder / "first.json").read_text())["refreshToken"])
        if self._where == "database":
            return str(support.row(self.folder / "first.sqlite3", support.ROWS["social"])["refresh_token"])
        return racer.logins(self.environ).credential(self.first).refresh

    def holds(self, secret: str) -> bool:
        """Whether it is anywhere on the disk or in the store, sealed or not."""
        logins = racer.logins(self.environ)
        paths = [str(path) for path in self.folder.rglob("*") if path.is_file()]
        # read in a process of its own: whoever closes a file drops the locks that SQLite has on it in that process
        read = subprocess.run(["cat", *paths], stdout=subprocess.PIPE, check=False).stdout
        texts = [read.decode("utf-8", "replace")]
        texts.append(json.dumps(logins._store.snapshot()))
        for found in [found[0] for text in texts for found in SEALED.finditer(text)]:
            with suppress(Unsealable):  # a piece of one, in a page of SQLite that is free again
                texts.append(logins.safe.open(found).decode())
        return any(secret in text for text in texts)


class CodexField(Field):
    """The same with ChatGPT: `codex`, Codex CLI's file, beside a login by Sign in with ChatGPT; `siwc`, the other way
    round.
    """

    @property
    def operation(self) -> str:
        return "siwc_token" if self.stored else "token"

    @property
    def stored(self) -> bool:
        return self._where == "siwc"

    def place(self, name: str, where: str) -> str:
        return str(self.folder / f"{name}.json")

    def _write(self, name: str, where: str) -> None:
        """The one of the Codex client into its file, the other into the store."""
        account = self.twin.accounts.all[name]
        if account.kind == "siwc":
            racer.logins(self.environ).add(_of(account))
            return
        place = Path(self.place(name, where))
        place.write_text(json.dumps(as_codex_file(account, support.stamp(time.time()))))
        self.environ["CODEX_AUTH_FILE"] = str(place)

    def _login(self) -> Credential:
        return _of(self.account)

    def on_disk(self) -> str:
        if self.stored:
            return racer.logins(self.environ).credential(self.first).refresh
        return str(json.loads((self.folder / "first.json").read_text())["tokens"]["refresh_token"])


def _of(account: CodexAccount) -> Credential:
    made = codex.made(account.access_token, account.refresh_token, account.id_token)
    return replace(made, kind="siwc", client_id=account.client_id)


@contextmanager
def field_of(rotation: str, where: str, url: str = "") -> Iterator[Field]:
    with tempfile.TemporaryDirectory() as folder:
        if where in ("codex", "siwc"):
            kinds = ("codex", "siwc") if where == "codex" else ("siwc", "codex")
            accounts = [{"name": name, "kind": kind} for name, kind in zip(("first", "second"), kinds, strict=True)]
            with CodexTwin(accounts=accounts, rotation=rotation) as chatgpt:
                yield CodexField(chatgpt, Path(folder), where, url)
        else:
            with Twin(accounts=[{"name": "first"}, {"name": "second"}], rotation=rotation) as twin:
                yield Field(twin, Path(folder), where, url)


@dataclass
class Figures:
    """What became of some rounds. `faults` must stay empty."""

    name: str
    rounds: int = 0
    seconds: float = 0.0
    redeemed: int = 0
    killed: int = 0
    noted: int = 0  # logins that a killed process had on the way, saved by the answer that it had noted
    repeated: int = 0  # redemptions of the same token once more, where the service takes it
    in_flight: int = 0  # logins lost between the request's leaving and the answer's being on the disk
    told: int = 0  # of those, accounts that said so while the other went on serving
    lost: int = 0
    faults: list[str] = field(default_factory=list)

    def line(self) -> str:
        text = f"{self.name}: {self.rounds} rounds in {self.seconds:.1f} s, {self.redeemed} redemptions"
        if self.killed:
            text += (f", {self.killed} processes killed; of renewals cut off, {self.noted} ended by the noted answer,"
                     f" {self.repeated} by asking again; {self.in_flight} logins lost in flight, which nobody can save"
                     f" ({self.told} said that they need a login while the other account went on)")  # fmt: skip
        return f"{text}; {self.lost} lost otherwise"


def race(rounds: int, where: str = "file", url: str = "") -> Figures:
    """Undisturbed, with a strictly single-use token: exactly one redemption a round. On Redis half of the processes are
    on another machine, as far as they can tell: they have a KIROGW_HOME of their own.
    """
    name = f"race for a {where}, {_engine(url)}, {PROCESSES} processes x {THREADS} threads, strict"
    figures = Figures(name, rounds)
    with field_of("strict", where, url) as place:
        place.watcher.fresh(place.first)
        before = place.twin.ledger.redeemed
        began = time.monotonic()
        got = _raced(place, rounds)
        figures.seconds, figures.redeemed = time.monotonic() - began, place.twin.ledger.redeemed - before
        for n, tokens in enumerate(zip(*got, strict=True)):
            if len(set(tokens)) != 1 or tokens[0].startswith("failed"):
                figures.faults.append(f"round {n}: not all got the same token: {sorted(set(tokens))[:2]}")
        if figures.redeemed != rounds or place.twin.ledger.reuses:
            figures.faults.append(f"{figures.redeemed} redemptions and {place.twin.ledger.reuses} reuses")
        if place.on_disk() not in place.twin.accounts.living("first"):
            figures.lost += 1
            figures.faults.append("the token on the disk is not the last one")
    return figures


def _raced(place: Field, rounds: int) -> list[list[str]]:
    """The tokens that each thread got, round by round."""
    start = FORK.Barrier(PROCESSES * THREADS)
    pipes, processes = [], []
    for n in range(PROCESSES):
        mine, theirs = FORK.Pipe(duplex=False)
        arguments = (_elsewhere(place) if n % 2 else place.environ, place.first, THREADS, rounds, start, theirs)
        processes.append(FORK.Process(target=racer.race, args=arguments))
        processes[-1].start()
        theirs.close()
        pipes.append(mine)
    got = [thread for pipe in pipes for thread in pipe.recv()]
    for process in processes:
        process.join()
    return got


def _elsewhere(place: Field) -> dict[str, str]:
    if not place.environ["STATE_URL"]:
        return place.environ
    home = place.folder / "elsewhere"
    return {**place.environ, "KIROGW_HOME": str(home)}


def _engine(url: str) -> str:
    return "redis" if url else "sqlite"


def kills(rotation: str, rounds: int, where: str = "file", seed: int = 0, url: str = "") -> Figures:
    """In each round one of two processes is killed at a random moment of its renewal."""
    figures = Figures(f"kill -9, {where}, {_engine(url)}, {rotation}", rounds)
    chance = random.Random(seed)
    with field_of(rotation, where, url) as place:
        began = time.monotonic()
        for n in range(rounds):
            token, spent = place.on_disk(), place.account.access_token
            figures.killed += _round(place, spent, chance)
            figures.faults += [f"round {n}: {fault}" for fault in _judged(place, figures, spent, token)]
        figures.seconds, figures.redeemed = time.monotonic() - began, place.twin.ledger.redeemed
        figures.repeated = sum(entry.outcome == "again" for entry in place.twin.ledger)
        said = (place.folder / "log").read_text()
        figures.noted = said.count("has been found")
        secret = [account for account in (place.account, place.other) if account.refresh_token in said]
        figures.faults += ["a token is in the log"] * bool(secret)
        if figures.told != figures.in_flight:
            figures.faults.append("an account that was lost did not say so, or stopped the other")
    return figures


def _round(place: Field, spent: str, chance: random.Random) -> bool:
    """Whether the kill met a living process. Half of them wait until a request has left, since that is where it hurts."""
    place.twin.faults.clear()
    place.twin.faults.add(operation=place.operation, slow=chance.uniform(0.0, 0.02), count=None)
    before = place.twin.counts.get(place.operation, 0)
    processes = [FORK.Process(target=racer.renew_once, args=(place.environ, place.first, 2, spent)) for _ in range(2)]
    for process in processes:
        process.start()
    if chance.random() < 0.5:
        until = time.monotonic() + 5
        while place.twin.counts.get(place.operation, 0) == before and time.monotonic() < until:
            time.sleep(0.0005)
    time.sleep(chance.uniform(0.0, 0.03))
    victim = chance.choice(processes)
    victim.kill()
    for process in processes:
        process.join()
    place.twin.faults.clear()
    return victim.exitcode == -signal.SIGKILL


def _judged(place: Field, figures: Figures, spent: str, token: str) -> list[str]:
    """What is wrong after a round, if anything; counts what was lost. The account is whole again afterwards."""
    try:
        got = place.watcher.renew(place.first, spent).token
    except NeedsLogin as error:
        return _lost(place, figures, token, str(error))
    faults = [] if got != spent else ["the spent token was given out again"]
    if got != place.account.access_token:
        faults.append("the token given out is not the last that was made")
    if place.on_disk() not in place.twin.accounts.living("first"):
        faults.append("the refresh token on the disk does not live")
    figures.lost += bool(faults)
    return faults


def _lost(place: Field, figures: Figures, token: str, said: str) -> list[str]:
    """A login is gone. Allowed only if its token was redeemed, and what came of it never reached the disk."""
    faults = []
    if place.on_disk() != token or place.account.refresh_token == token:
        faults.append("the login was given up although its token had not been redeemed")
    if place.holds(place.account.refresh_token):
        faults.append("the new token is on the disk, and yet the login was given up")
    figures.lost += bool(faults)
    figures.in_flight += not faults
    watcher, other = place.watcher, place.second
    states = {account.id: account.state for account in watcher.accounts()}
    serving = watcher.renew(other, watcher.fresh(other).token).token
    told = "lost on the way" in said and states == {place.first: "login", other: "ready"}
    figures.told += told and serving == place.other.access_token
    place.sign_in()
    if place.watcher.renew(place.first, "").token != place.account.access_token:
        faults.append("a new login does not heal the account")
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.logins.races", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given = parser.parse_args()
    print(f"seed {given.seed}")
    faults = 0
    for engine in ("sqlite", "redis"):
        with redis_server() if engine == "redis" else nullcontext() as server:
            for figures in everything(given.rounds, given.kills, given.seed, server):
                print(figures.line(), *figures.faults, sep="\n  ", flush=True)
                faults += len(figures.faults)
    return 1 if faults else 0


def everything(rounds: int, killed: int, seed: int, server: Redis | None) -> Iterator[Figures]:
    """Each race whole for a file, for the store and for Codex CLI's file, and a fifth of it for the other places."""
    for where in PLACES:
        part = 1 if where in ("file", "stored", "codex") else 5
        yield race(rounds // part, where, emptied(server))
        for rotation in ("grace", "strict"):
            yield kills(rotation, killed // part, where, seed, emptied(server))


def emptied(server: Redis | None) -> str:
    """The address of the store, with nothing in it; "" for SQLite, which has a new file each time."""
    if server is None:
        return ""
    server.command("FLUSHALL")
    return server.url

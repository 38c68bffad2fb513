"""What the pool costs a request: microseconds for taking a place, telling the success and giving the place back.

    python bench/pool.py [accounts ...]
"""

import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from kirogw.dialects.provider import Verdict
from kirogw.dialects.quota import Bucket, Quota
from kirogw.errors import QuotaUsed
from kirogw.pool import Account, Pool, Want
from kirogw.pool.turns import RANKS
from kirogw.settings import Settings
from kirogw.store import open_store
from kirogw.store.sync import Sync

SIZES = (3, 100)
ROUNDS, EACH = 15, 4000
NOW = 1.8e9
USED_UP = Verdict(QuotaUsed("used up"), "quota", elsewhere=True, fate="exhausted")


def pool(mode, accounts, resting=0):
    made = Pool([Account(f"account-{n}", weight=1 + n % 3) for n in range(accounts)], Settings(scheduling_mode=mode))
    for n in range(accounts):
        made.quota(f"account-{n}", Quota(NOW, (Bucket("plan", 0.0, 500.0 + n),)), NOW)
    for n in range(resting):
        made.failed(f"account-{n}", USED_UP, "claude", NOW)
    return made


def cost(made, sessions, new=False):
    """Microseconds a request, as the median of rounds: the machine has other work too."""
    figures = []
    for turn in range(ROUNDS):
        names = [f"session-{n}.{turn if new else 0}" if sessions else "" for n in range(EACH if new else 200)]
        began = time.process_time()
        for n in range(EACH):
            now = NOW + n / 1000
            place = made.take(Want("claude", names[n % len(names)]), now)
            made.served(place.account.id, "claude", now)
            made.leave(place, now)
        figures.append((time.process_time() - began) / EACH * 1e6)
    return statistics.median(figures)


def shared():
    """With a store: conversations that are known, and new ones, for which the store is read and written."""
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(kirogw_home=home)
        store = open_store(settings)
        sync = Sync(store)
        made = Pool([Account(f"account-{n}") for n in range(3)], settings, store=store, sync=sync)
        made.start()
        sync.start()
        figures = cost(made, True), cost(made, True, new=True)
        sync.close()
        store.close()
    return figures


def main():
    sizes = [int(word) for word in sys.argv[1:]] or SIZES
    random.seed(1)
    print("microseconds of CPU a request: take, served and leave\n")
    print("| mode | " + " | ".join(f"{n} accounts | in a session | a third rests" for n in sizes) + " |")
    print("|---|" + "---:|---:|---:|" * len(sizes))
    for mode in RANKS:
        row = []
        for n in sizes:
            row += [cost(pool(mode, n), False), cost(pool(mode, n), True), cost(pool(mode, n, n // 3), False)]
        print(f"| {mode} | " + " | ".join(f"{figure:.1f}" for figure in row) + " |")
    known, new = shared()
    print(f"\nwith a store, its thread included: {known:.1f} in a conversation that is known, {new:.1f} in a new one")


if __name__ == "__main__":
    main()

"""What the tests of locks, leases and what many threads read share: who holds something, and who is late."""

import contextlib
import multiprocessing
import threading

FORK = multiprocessing.get_context("forkserver")


def _hold(made, what, pipe):
    held = made(what)
    pipe.send(held.take())
    pipe.recv()
    held.drop()
    pipe.send("dropped")
    pipe.recv()


@contextlib.contextmanager
def another_process(made, what):
    """It holds what `made(what)` gives: a lock or a lease. Whatever is sent makes it give it back, and then end."""
    mine, theirs = FORK.Pipe()
    process = FORK.Process(target=_hold, args=(made, what, theirs))
    process.start()
    theirs.close()
    assert mine.recv() is True
    yield process, mine
    process.kill()
    process.join()


class Late:
    """A store whose first answer to `name` is late: by then it is old."""

    def __init__(self, store, name):
        self._store, self._name = store, name
        self.asked, self.go_on = threading.Event(), threading.Event()

    def __getattr__(self, name):
        found = getattr(self._store, name)
        if name != self._name or self.asked.is_set():
            return found

        def late(*args, **more):
            answer = found(*args, **more)
            if not self.asked.is_set():
                self.asked.set()
                assert self.go_on.wait(60)
            return answer

        return late

"""What holds for every test: a twin behind a gateway has nothing to refuse.

A request that the twin calls malformed is a fault of the gateway's, wherever it happens. A test that means one (an
unknown model, a thought that was tampered with) says so: `@pytest.mark.refuses("model")`. The twin's own tests send
malformed requests all the time.
"""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from kirogw import log
from kirogw.twin import state

PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}  # a busy machine is no fault of a test
settings.register_profile("same", derandomize=True, **PATIENT)  # the same examples in each run
settings.register_profile("new", **PATIENT)  # HYPOTHESIS_PROFILE=new: others each time, to search for what is left
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a run in a script's background; what it starts would ignore it too
    signal.signal(signal.SIGINT, signal.default_int_handler)
TWIN = Path(__file__).parent / "twin"
heard = []


class Heard(list):
    """A twin's refusals, of which this process hears too; they stay heard when the twin forgets them."""

    def append(self, refusal):
        super().append(refusal)
        heard.append(refusal)


def pytest_configure(config):
    config.addinivalue_line("markers", "refuses(*rows): rows of the twin's table that a request of this test may meet")
    make = state.Journal.__post_init__

    def made(journal):
        make(journal)
        journal.refusals = Heard(journal.refusals)

    state.Journal.__post_init__ = made


@pytest.fixture
def caplog(caplog, monkeypatch):
    """Also when an application before has set the log up, with a level of its own and its lines kept to itself."""
    level = log.logger.level
    monkeypatch.setattr(log.logger, "propagate", True)
    log.logger.setLevel("DEBUG")
    yield caplog
    log.logger.setLevel(level)


@pytest.fixture(autouse=True)
def nothing_is_malformed(request):
    """Fixtures that live longer count for the test that comes after them."""
    yield
    met, meant = {refusal.row for refusal in heard}, {row for mark in request.node.iter_markers("refuses") for row in mark.args}
    heard.clear()
    if TWIN not in request.path.parents:
        assert met <= meant, f"the twin refused {met - meant}"

"""One twin and one gateway for all tests of a file; SETTINGS of the file are the gateway's."""

import pytest

from kirogw.twin import Twin
from tests.system.pauses import Pauses
from tests.system.running import running


@pytest.fixture(scope="module")
def pair(request):
    with Twin(accounts=["api_key"]) as twin, running(twin, **getattr(request.module, "SETTINGS", {})) as gateway:
        yield twin, gateway


@pytest.fixture
def twin(pair):
    """The upstream, with nothing seen yet and no script; it must have found nothing malformed at the end."""
    twin, _ = pair
    twin.reset()
    yield twin
    assert twin.refusals == []


@pytest.fixture
def gateway(pair):
    return pair[1]


@pytest.fixture(scope="module")
def pauses(pair):
    return Pauses(pair[0])

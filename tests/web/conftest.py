"""The application in this process before a twin, and Flask's own client for it."""

import pytest

from kirogw import create_app
from kirogw.settings import load
from kirogw.twin import Twin
from tests.system.running import KEY, environment


@pytest.fixture(scope="session")
def pair(tmp_path_factory):
    with Twin(accounts=["api_key"]) as twin:
        home = tmp_path_factory.mktemp("home")
        given = {**twin.settings(), "KIRO_API_KEY": twin.account.api_key, "RETRY_PACE": 0, "LOG_LEVEL": "error"}
        app = create_app(load(environ=environment(home, given), env_file=None))
        yield twin, app
        app.extensions["kirogw"].close()


@pytest.fixture
def twin(pair):
    pair[0].reset()
    return pair[0]


@pytest.fixture
def app(pair):
    return pair[1]


@pytest.fixture
def client(app):
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {KEY}"
    return client

"""Client programs do a whole piece of work through the gateway: read a file, write one, run a command, finish."""

from __future__ import annotations

import pytest

from tests.clients import loops
from tests.clients.codex import PROTOCOLS
from tests.clients.programs import PROGRAMS, Program, run

pytestmark = pytest.mark.clients


@pytest.mark.parametrize("account", ["kiro", "codex"])
@pytest.mark.parametrize("client", [*PROGRAMS, *PROTOCOLS], ids=lambda client: client.name)
def test_a_whole_loop(client: Program, account, gate, twin, place):
    twin.script(loops.agent(client.hands, place))
    ran = run(client, gate, place, loops.PROMPT)
    loops.assert_done(place, ran.said)
    assert ran.code == 0
    assert len(twin.seen()) >= 4

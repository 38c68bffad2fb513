"""An upstream that has said all and does not end: whoever asked has the answer, and the connection is let go."""

import pytest

from kirogw.twin.codex import CodexTwin
from tests.system.raw import eventually
from tests.system.stand import Verdicts, ask, brought_in, standing

MODEL = "gpt-5.5"
USAGE = {"input_tokens": 9, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 2,
         "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 11}  # fmt: skip
END = {"type": "response.completed", "payload": {"response": {"id": "resp_1", "usage": USAGE, "output": []}}}
LATE = {"steps": [{"text": "All of it."}, {"raw": END}, {"text": "What comes now counts for nothing.", "delay": 600}], "repeat": True}


@pytest.fixture(scope="module")
def stand():
    with standing(Verdicts(), ["codex"], {"keepalive": 0}, brought_in, lambda _: {}) as stand:
        assert isinstance(stand.twin, CodexTwin)
        stand.twin.script([LATE])
        yield stand


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("face", ["messages", "chat", "responses"])
def test_an_answer_that_is_whole_has_ended(stand, face, stream):
    heard = ask(stand.url, face, stream, model=MODEL)
    assert (heard.clean, heard.text) == (True, "All of it.")
    assert eventually(lambda: stand.state.gateway.busy() == 0)

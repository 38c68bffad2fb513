import uuid
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from kirogw.conversation import Text
from kirogw.dialects import ids
from tests.dialects.talk import call, model, result, talk, user


def test_a_session_keeps_its_session_id():
    one = ids.session_id(b"secret", "session", "first")
    assert str(uuid.UUID(one)) == one
    assert ids.session_id(b"secret", "session", "other") == one
    assert ids.session_id(b"secret", "", "first") == ids.session_id(b"secret", "", "first")
    others = {ids.session_id(b"other", "session", ""), ids.session_id(b"secret", "x", ""), ids.session_id(b"secret", "", "session")}
    assert len({one, *others}) == 4


def test_a_loop_of_calls_keeps_its_id():
    asked = talk(user("a"), model("b"), user("c"), session="s")
    looped = replace(asked, turns=(*asked.turns, model(call()), user(result(), "<system-reminder>")))
    one = ids.turn_id(b"secret", asked)
    assert str(uuid.UUID(one)) == one
    assert ids.turn_id(b"secret", looped) == one
    others = {
        ids.turn_id(b"secret", replace(asked, session="t")), ids.turn_id(b"other", asked),
        ids.turn_id(b"secret", replace(asked, turns=(*asked.turns, model("d"), user("c")))),
        ids.turn_id(b"secret", talk()), ids.turn_id(b"secret", talk(user("half \ud800", Text("x")))),
    }  # fmt: skip
    assert len({one, *others}) == 6


@given(st.binary(min_size=16, max_size=16))
def test_it_is_written_as_a_uuid_of_version_four(data):
    assert ids.uuid(data.hex()) == str(uuid.UUID(bytes=data, version=4))

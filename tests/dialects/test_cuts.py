import hashlib

from kirogw.dialects import cuts
from tests.dialects.talk import call, model, result, talk, user


def test_the_key_is_that_of_the_first_500_characters():
    assert cuts.key("a" * 500) == cuts.key("a" * 600) == hashlib.sha256(b"a" * 500).hexdigest()
    assert cuts.key("a" * 499) != cuts.key("a" * 500)
    assert cuts.key("half \ud800") == hashlib.sha256(b"half \xed\xa0\x80").hexdigest()


def test_all_keys_of_a_conversation():
    conversation = talk(user("a"), model("b", call("1"), "c", call("2")), user(result("1"), "d"), model(call("3")), model("e"))
    assert list(cuts.keys(conversation)) == ["1", "2", cuts.key("bc"), "3", cuts.key("e")]

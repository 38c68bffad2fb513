"""What looks like a secret is taken out, the rest stays, and no text takes long."""

import time

import pytest

from kirogw.redact import clean

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"

ROWS = [
    pytest.param("aoaAAAAAGk1234567:abc+/=", "***", id="access token"),
    pytest.param("key ksk_abcdef", "key ***", id="Kiro's key"),
    pytest.param("kgw_abcdef and sk-abcdefgh", "*** and ***", id="clients' keys"),
    pytest.param(f"Bearer {TOKEN}", "Bearer ***", id="bearer"),
    pytest.param(f"a\\n{TOKEN}, b", "a\\n***, b", id="JSON web token"),
    pytest.param(f"token rt_{'aB3-' * 12}_x. No more", "token *** No more", id="ChatGPT's refresh token"),
    pytest.param(f"?code=ac_{'aB3-' * 12}&state=1", "?code=***&state=1", id="ChatGPT's code"),
    pytest.param("start_a_very_long_name_of_a_function()", "start_a_very_long_name_of_a_function()", id="what holds rt_"),
    pytest.param('{"device_auth_id": "deviceauth_1"}', '{"device_auth_id": "***"}', id="device of ChatGPT"),
    pytest.param("http://user:pass@host/", "http://***@host/", id="proxy"),
    pytest.param('{"refreshToken":"abc","x":1}', '{"refreshToken":"***","x":1}', id="member"),
    pytest.param("they-sk-abcdefghij", "they-***", id="behind what begins like a token"),
    pytest.param("eyeglasses-and-more. Nothing else.", "eyeglasses-and-more. Nothing else.", id="a word"),
]


@pytest.mark.parametrize(("text", "cleaned"), ROWS)
def test_clean(text, cleaned):
    assert clean(text) == cleaned


@pytest.mark.parametrize("piece", ["ey", "eyJ", "://", "://a:", "aoa", "sk-", "api_key ", "bearer ", '"token":', "ksk_", "rt_", "ac_"])
def test_no_text_takes_long(piece):
    began = time.thread_time()
    clean(piece * 200_000)
    assert time.thread_time() - began < 10

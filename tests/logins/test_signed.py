"""Signatures: what the service has signed is taken, and nothing else, whatever the token says of itself."""

import base64
import hashlib
import hmac
import json

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from kirogw.logins.signed import UnknownKey, Unproven, verified
from kirogw.twin.codex import jwt

CLAIMS = {"sub": "auth0|ada", "aud": "oaiapp_1", "exp": 1790763072}
KEYS = jwt.key_set()["keys"]
TOKEN = jwt.signed(CLAIMS)


def made(head, claims, sign):
    """A token by hand; `sign(bytes) -> bytes`."""
    body = ".".join(jwt.encoded(json.dumps(part).encode()) for part in (head, claims))
    return f"{body}.{jwt.encoded(sign(body.encode()))}"


def key_of(private, **more):
    numbers = private.public_key().public_numbers()
    n = jwt.encoded(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big"))
    return {"kty": "RSA", "kid": "k", "n": n, "e": jwt.encoded(numbers.e.to_bytes(3, "big")), **more}


OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SMALL = rsa.generate_private_key(public_exponent=65537, key_size=1024)


def signed_by(private, how=hashes.SHA256):
    return lambda data: private.sign(data, padding.PKCS1v15(), how())


def test_what_the_service_has_signed():
    assert verified(TOKEN, KEYS) == CLAIMS
    assert verified(made({"alg": "RS256", "kid": "k"}, CLAIMS, signed_by(OTHER)), [*KEYS, key_of(OTHER)]) == CLAIMS


@settings(max_examples=150)
@given(at=st.integers(0, len(TOKEN) - 1), letter=st.sampled_from("ABCdef019-_."))
def test_no_letter_of_it_can_be_changed(at, letter):
    changed = TOKEN[:at] + letter + TOKEN[at + 1 :]
    if changed == TOKEN or last_bits_only(at):
        return
    with pytest.raises(Unproven):
        verified(changed, KEYS)


def last_bits_only(at):
    """The last letter of a part holds bits that mean nothing."""
    return at + 1 == len(TOKEN) or TOKEN[at + 1] == "."


@settings(max_examples=100)
@given(text=st.text(alphabet="ABCab01-_.=é ", max_size=80))
def test_nonsense_is_no_token(text):
    with pytest.raises(Unproven):
        verified(text, KEYS)


def public_as_secret(data):
    """The trick with a public key as the secret of another algorithm."""
    return hmac.new(base64.urlsafe_b64decode(KEYS[0]["n"] + "=="), data, hashlib.sha256).digest()


WRONG = [
    pytest.param({"alg": "none", "kid": "twin-1"}, lambda data: b"", "another way than RS256", id="unsigned"),
    pytest.param({"alg": "HS256", "kid": "twin-1"}, public_as_secret, "another way than RS256", id="with the public key as a secret"),
    pytest.param({"alg": "RS256", "kid": "twin-1"}, signed_by(OTHER), "signature is wrong", id="by somebody else under a known name"),
    pytest.param({"alg": "RS256", "kid": "k"}, signed_by(OTHER, hashes.SHA512), "signature is wrong", id="another hash"),
    pytest.param({"alg": "RS256", "kid": "twin-1"}, lambda data: b"", "signature is wrong", id="no signature"),
    pytest.param({"alg": "RS256", "kid": "unknown"}, signed_by(OTHER), "does not show", id="by a key that is not there"),
    pytest.param({"alg": "RS256"}, signed_by(OTHER), "does not show", id="by no key"),
    pytest.param({"alg": "RS256", "kid": "k", "crit": ["b64"]}, signed_by(OTHER), "another way", id="with more that must be understood"),
    pytest.param({"alg": "RS256", "kid": "small"}, signed_by(SMALL), "too short", id="a short key"),
    pytest.param({"alg": "RS256", "kid": "ec"}, signed_by(OTHER), "does not show", id="a key of another kind"),
    pytest.param({"alg": "RS256", "kid": "enc"}, signed_by(OTHER), "does not show", id="a key for another use"),
    pytest.param({"alg": "RS256", "kid": "bad"}, signed_by(OTHER), "a key that is none", id="a key that is none"),
    pytest.param({"alg": "RS256", "kid": "half"}, signed_by(OTHER), "a key that is none", id="half a key"),
]  # fmt: skip
SET = [*KEYS, key_of(OTHER), key_of(SMALL, kid="small"), {"kty": "EC", "kid": "ec"}, key_of(OTHER, kid="enc", use="enc"),
       {"kty": "RSA", "kid": "bad", "n": "%%", "e": "AQAB"}, {"kty": "RSA", "kid": "half", "e": "AQAB"}]  # fmt: skip


@pytest.mark.parametrize(("head", "sign", "said"), WRONG)
def test_what_proves_nothing(head, sign, said):
    with pytest.raises(Unproven, match=said) as caught:
        verified(made(head, CLAIMS, sign), SET)
    assert isinstance(caught.value, UnknownKey) is ("does not show" in said)

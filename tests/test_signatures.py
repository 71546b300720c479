import base64
import hashlib
import hmac
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import InputError
from serving.connectors.signatures import (
    TOLERANCE_SECONDS,
    BodyHmac,
    SharedToken,
    StandardSignature,
    standard_key,
    standard_secret,
    standard_signature,
)

BODY, KEY = b"what do ya want for nothing?", b"Jefe"
# RFC 2202, test case 2 of HMAC-SHA1; RFC 4231, test case 2 of HMAC-SHA256.
SHA1 = "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"
SHA256 = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"


@pytest.mark.parametrize(
    ("scheme", "value"),
    [
        (BodyHmac("X"), SHA256),
        (BodyHmac("X", algorithm="sha1"), SHA1),
        (BodyHmac("X", prefix="sha256="), f"sha256={SHA256}"),
        (BodyHmac("X", prefix="sha256="), f"sha256={SHA256.upper()}"),
        (
            BodyHmac("X", encoding="base64", prefix="sha256="),
            f"sha256={base64.b64encode(bytes.fromhex(SHA256)).decode()}",
        ),
    ],
)
def test_known_vectors_hold_and_nothing_near_them(scheme, value):
    assert scheme.holds(BODY, {"X": value}, KEY)
    for wrong in (value[:-1], value + "0", "", "sha256=", value.replace("5", "6"), "\xe9\udcff"):
        assert not scheme.holds(BODY, {"X": wrong}, KEY)
    assert not scheme.holds(BODY, {}, KEY)
    assert not scheme.holds(BODY + b" ", {"X": value}, KEY)
    assert not scheme.holds(BODY, {"X": value}, KEY + b"x")


def test_a_shared_token_is_the_secret_itself():
    assert SharedToken("X").holds(b"any", {"X": "token-1234"}, b"token-1234")
    for wrong in ("token-123", "", "TOKEN-1234"):
        assert not SharedToken("X").holds(b"any", {"X": wrong}, b"token-1234")


# The vector of the Standard Webhooks libraries.
SECRET, ID, MOMENT = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_standard_signature_is_that_of_the_specification():
    assert standard_signature(ID, MOMENT, b'{"test": 2432232314}', standard_key(SECRET)) == SIGNATURE


@pytest.mark.parametrize(
    ("drift", "holds"), [(0, True), (-TOLERANCE_SECONDS + 30, True), (-900, False), (900, False)]
)
def test_an_old_standard_signature_is_no_good(monkeypatch, drift, holds):
    monkeypatch.setattr(time, "time", lambda: MOMENT - drift)
    headers = {"webhook-id": ID, "webhook-timestamp": str(MOMENT)}
    body = b'{"test": 2432232314}'
    for given_signature in (SIGNATURE, f"v1,AAAA {SIGNATURE}"):
        found = StandardSignature().holds(
            body, headers | {"webhook-signature": given_signature}, SECRET.encode()
        )
        assert found == holds


@pytest.mark.parametrize("moment", ["", "now", "-5", "1e9", "\u0661", "9" * 40])
def test_a_moment_that_is_none_never_holds(moment):
    headers = {"webhook-id": ID, "webhook-timestamp": moment, "webhook-signature": SIGNATURE}
    assert not StandardSignature().holds(b"", headers, SECRET.encode())


@pytest.mark.parametrize("bad", ["whsec_!", "whsec_abc", "nonsense text"])
def test_a_secret_that_is_none_is_named(bad):
    with pytest.raises(InputError, match="whsec_"):
        standard_key(bad)


@given(st.binary(max_size=200), st.binary(min_size=24, max_size=64))
def test_what_is_signed_holds(body, key):
    assert standard_key(standard_secret(key)) == key
    scheme = BodyHmac("X", algorithm="sha512", encoding="base64", prefix="p:")
    value = scheme.sign(body, key)
    assert value == "p:" + base64.b64encode(hmac.new(key, body, hashlib.sha512).digest()).decode()
    assert scheme.holds(body, {"X": value}, key)

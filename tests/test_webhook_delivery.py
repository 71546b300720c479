import hashlib
import hmac
import json
from base64 import b64decode, b64encode
from datetime import UTC, datetime

import httpx
import pytest

from data.webhook_outbox import Parcel
from serving.webhook_delivery import Courier, UnsafeAddressError, checked_url

NOW = datetime(2026, 4, 2, 10, tzinfo=UTC)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PUBLIC = "93.184.216.34"


def parcel(url="https://hooks.example.com:8443/in?x=1", secret=SECRET):
    return Parcel("dlv_1", "msg_1", url, secret, '{"type":"a","data":"\u00e9"}', 0, "lease")


def courier(answer, resolve=lambda host, port: [PUBLIC], **more):
    return Courier(resolve=resolve, transport=httpx.MockTransport(answer), **more)


def test_a_message_is_signed_and_goes_to_the_address_that_was_checked():
    seen = []

    def answer(request):
        seen.append(request)
        return httpx.Response(204)

    asked = []
    found = courier(answer, lambda *name: asked.append(name) or [PUBLIC]).deliver(parcel(), NOW)
    assert found == (204, None)
    assert asked == [("hooks.example.com", 8443)]  # once: what was checked is what is called
    (request,) = seen
    assert str(request.url) == f"https://{PUBLIC}:8443/in?x=1"
    assert request.headers["host"] == "hooks.example.com:8443"
    assert request.extensions["sni_hostname"] == "hooks.example.com"
    key = b64decode(SECRET.removeprefix("whsec_"))
    moment = request.headers["webhook-timestamp"]
    signed = f"msg_1.{moment}.".encode() + request.content
    expected = "v1," + b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert request.headers["webhook-signature"] == expected
    assert (request.headers["webhook-id"], int(moment)) == ("msg_1", int(NOW.timestamp()))
    assert json.loads(request.content) == {"type": "a", "data": "\u00e9"}


@pytest.mark.parametrize("status", [302, 307, 404, 410, 500])
def test_any_status_but_success_is_a_failure_and_redirects_are_not_followed(status):
    calls = []

    def answer(request):
        calls.append(request)
        return httpx.Response(status, headers={"location": "http://127.0.0.1/"})

    assert courier(answer).deliver(parcel(), NOW) == (status, "status")
    assert len(calls) == 1


def failing(error):
    def answer(request):
        raise error

    return answer


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ReadTimeout("slow"), "timeout"),
        (httpx.ConnectError("refused"), "connection"),
        (OSError(), "name not found"),
    ],
)
def test_failures_are_told_by_their_kind(error, kind):
    assert courier(failing(error)).deliver(parcel(), NOW) == (None, kind)


def test_a_secret_that_is_broken_is_a_failure():
    assert courier(lambda request: httpx.Response(200)).deliver(parcel(secret="whsec_!"), NOW) == (
        None,
        "secret",
    )


INSIDE = [
    "127.0.0.1",
    "10.1.2.3",
    "192.168.1.1",
    "172.16.0.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "::1",
    "fe80::1%eth0",
    "fd00::1",
    "::ffff:10.0.0.1",
    "64:ff9b::a00:1",
    "2002:a00:1::",
]


@pytest.mark.parametrize("address", INSIDE)
def test_a_name_that_leads_inside_is_never_called(address):
    calls = []
    for found in ([address], [PUBLIC, address]):
        sent = courier(lambda request: calls.append(request) or httpx.Response(200), lambda *_: found)  # noqa: B023
        assert sent.deliver(parcel(), NOW) == (None, "private address")
    assert calls == []
    allowed = courier(lambda request: httpx.Response(200), lambda *_: [address], allow_private=True)
    assert allowed.deliver(parcel(), NOW) == (200, None)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "ftp://example.com/",
        "https://",
        "https://user:password@example.com/",
        "https://example.com/#part",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://10.0.0.1:8443/x",
        "not a url",
        "https://exa mple.com",
        "https://example.com:99999/",
    ],
)
def test_urls_that_webhooks_may_not_go_to(url):
    with pytest.raises(UnsafeAddressError, match="the url"):
        checked_url(url, allow_private=False)


@pytest.mark.parametrize(
    "url", ["https://example.com/in", "https://93.184.216.34/", "https://b\u00fccher.example/"]
)
def test_urls_that_they_may_go_to(url):
    assert checked_url(url, allow_private=False).scheme == "https"
    assert checked_url("http://127.0.0.1:9/", allow_private=True).port == 9


def test_a_name_that_is_not_there_is_a_failure():
    def nobody(host, port):
        raise OSError("no such name")

    answer = courier(lambda request: httpx.Response(200), nobody).deliver(parcel(), NOW)
    assert answer == (None, "name not found")

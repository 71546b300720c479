import hashlib
import hmac
import json
import socket
import ssl
import threading
import time
from base64 import b64decode, b64encode
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

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


# Over the network.


@contextmanager
def listening(talk):
    """Give the port of a server that takes one connection and talks on it."""

    def serve():
        connection, _ = server.accept()
        with connection:
            try:
                talk(connection)
            except OSError:  # the other side has had enough
                pass

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def request_from(connection):
    """Read a whole request: what is not read when a connection is closed breaks it off."""
    got = b""
    while not got.endswith(b"}"):
        got += connection.recv(2**16) or b"}"
    return got


def sent_to(port, scheme="http", deadline_s=0.5):
    """Give what a delivery came to, and the seconds that it took."""
    sender = Courier(allow_private=True, resolve=lambda *_: ["127.0.0.1"], deadline_s=deadline_s)
    begun = time.monotonic()
    try:
        found = sender.deliver(parcel(f"{scheme}://hooks.example.com:{port}/in?x=1"), NOW)
        return found, time.monotonic() - begun
    finally:
        sender.close()


def test_a_message_goes_over_the_network_and_the_body_of_the_answer_stays_there():
    got = []

    def talk(connection):
        got.append(request_from(connection))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx")
        got.append(connection.recv(1))  # nothing, since the sender hangs up

    with listening(talk) as port:
        assert sent_to(port, deadline_s=30)[0] == (200, None)
    head, _, body = b"".join(got).partition(b"\r\n\r\n")
    assert head.startswith(b"POST /in?x=1 HTTP/1.1\r\n")
    assert f"host: hooks.example.com:{port}" in head.decode().lower()
    assert json.loads(body) == {"type": "a", "data": "\u00e9"}


def drip(connection):
    request_from(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
    for _ in range(100):
        connection.sendall(b"x")
        time.sleep(0.05)
    connection.sendall(b"\r\n\r\n")


def test_an_endpoint_that_drips_its_answer_is_left_at_the_deadline():
    with listening(drip) as port:
        found, seconds = sent_to(port)
    assert found == (None, "timeout")
    assert seconds < 4


def test_so_is_one_that_never_ends_the_greeting_of_https():
    with listening(lambda connection: [connection.recv(2**16) for _ in range(2)]) as port:
        found, seconds = sent_to(port, "https")
    assert found == (None, "timeout")
    assert seconds < 9


def test_an_answer_is_read_only_so_far():
    def talk(connection):
        request_from(connection)
        for _ in range(50):
            connection.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 400)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

    with listening(talk) as port:
        assert sent_to(port, deadline_s=30)[0] == (None, "connection")


@pytest.fixture
def certificate(tmp_path):
    """A certificate of hooks.example.com that signs itself, with its key, as a file."""
    key, moment = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hooks.example.com")])
    names = x509.SubjectAlternativeName([x509.DNSName("hooks.example.com")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).add_extension(names, critical=False)
    builder = builder.not_valid_before(moment - timedelta(days=1)).not_valid_after(moment + timedelta(days=1))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path / "chain.pem"
    signed = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    path.write_bytes(signed + key.private_bytes(*form))
    return path


def test_https_is_of_the_name_that_was_asked_for(certificate, monkeypatch):
    told = []

    def talk(connection):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        context.sni_callback = lambda _, name, __: told.append(name)
        with context.wrap_socket(connection, server_side=True) as secured:
            request_from(secured)
            secured.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with listening(talk) as port:
        assert sent_to(port, "https", 30)[0] == (None, "connection")  # nobody vouches for it
    trusting = ssl.create_default_context(cafile=certificate)
    monkeypatch.setattr(httpx, "create_ssl_context", lambda **_: trusting)
    with listening(talk) as port:
        assert sent_to(port, "https", 30)[0] == (204, None)
    assert told == ["hooks.example.com"] * 2

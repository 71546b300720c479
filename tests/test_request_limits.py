"""Slow and bloated requests: refused in time, and nobody else waits for them."""

import asyncio
import datetime
import ipaddress
import json
import ssl
from contextlib import asynccontextmanager, nullcontext

import httpx
import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from data.api_keys import ApiKeys
from data.errors import InputError
from data.settings import Settings
from data.store import Store
from serving.api import create_app
from serving.request_limits import BodyDeadline
from serving.timed_protocol import TimedProtocol
from tests.http_client import problem
from tests.stubs import StubTagger
from whyscore.server import check_certificate, listen, server_config


def test_headers_are_limited(shared):
    problem(shared.get("/v1/segments", headers={"X-Long": "x" * 40_000}), 431)
    problem(shared.get("/v1/segments", params={"x": "x" * 40_000}), 431)
    assert shared.get("/v1/segments", headers={"X-Long": "x" * 20_000}).status_code == 200


@pytest.mark.parametrize(
    ("path", "words"),
    [("/v1/tag", "the body did not arrive"), ("/v1/jobs", "the next part of the body did not arrive")],
)
def test_a_body_that_does_not_arrive_is_refused(tmp_path, path, words):
    """Parts of a body come, and then no more."""
    sent = []
    kind = b"text/csv" if path == "/v1/jobs" else b"application/json"

    async def ask(app):
        parts = iter([{"type": "http.request", "body": b"{", "more_body": True}])

        async def receive():
            return next(parts, None) or await asyncio.Event().wait()

        async def send(message):
            sent.append(message)

        headers = [(b"host", b"localhost"), (b"content-type", kind)]
        scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
        scope |= {
            "raw_path": path.encode(),
            "scheme": "http",
            "http_version": "1.1",
            "client": ("127.0.0.1", 1),
        }
        await app(scope, receive, send)

    app = create_app(Settings(home=tmp_path, body_seconds=0.01), StubTagger())
    with app.state.service.store:
        asyncio.run(ask(app))
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]
    assert words in json.loads(sent[1]["body"])["detail"]


@pytest.mark.parametrize(("path", "patient"), [("/v1/jobs", True), ("/v1/tag", False)])
def test_a_large_file_may_take_long_if_each_part_comes_in_time(monkeypatch, path, patient):
    allowed = []

    def noted(seconds):
        allowed.append(seconds)
        return nullcontext()

    monkeypatch.setattr("serving.request_limits.move_on_after", noted)

    async def take(scope, receive, send):
        while (await receive())["more_body"]:
            await asyncio.sleep(0.01)

    async def ask():
        parts = iter([True, True, False])

        async def receive():
            return {"type": "http.request", "body": b"x", "more_body": next(parts)}

        await BodyDeadline(take, 60, {"/v1/jobs"})({"type": "http", "path": path}, receive, None)

    asyncio.run(ask())
    assert len(allowed) == 3
    assert (allowed == [60] * 3) == patient
    assert allowed == sorted(allowed, reverse=True)


# On the wire.


async def slow_app(scope, receive, send):
    """Answer after longer than headers may take."""
    if scope["type"] != "http":
        return
    await asyncio.sleep(0.2)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def serving(app, protocol=TimedProtocol, tls=None):
    config = server_config(app, Settings(), tls)
    config.http_protocol_class = protocol
    config.http, config.lifespan = protocol, "off"
    listener = listen("127.0.0.1", 0, Settings())
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve([listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await task
        listener.close()


class QuickProtocol(TimedProtocol):
    header_seconds = 0.05


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "])
def test_a_connection_whose_request_never_comes_is_closed(begun):
    async def connect():
        async with serving(slow_app, QuickProtocol) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(begun)
            assert await asyncio.wait_for(reader.read(), 60) == b""
            writer.close()
            await writer.wait_closed()

    asyncio.run(connect())


def test_a_request_that_is_whole_may_take_its_time_and_the_next_one_too():
    async def connect():
        async with serving(slow_app, QuickProtocol) as port:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                return [(await client.get("/")).text for _ in range(2)]

    assert asyncio.run(connect()) == ["ok", "ok"]


# HTTPS, and who may listen where.


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of 127.0.0.1 that signs itself, and its key, as files."""
    folder, key = tmp_path_factory.mktemp("tls"), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).add_extension(names, critical=False)
    builder = builder.not_valid_before(now - datetime.timedelta(days=1))
    signed = builder.not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
    (folder / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(*form))
    return folder / "cert.pem", folder / "key.pem"


def test_https_is_served(certificate):
    async def connect():
        trust = ssl.create_default_context(cafile=certificate[0])
        async with serving(slow_app, tls=certificate) as port:
            async with httpx.AsyncClient(verify=trust, timeout=60) as client:
                return (await client.get(f"https://127.0.0.1:{port}/")).text

    assert asyncio.run(connect()) == "ok"


def test_a_certificate_that_is_none_is_told_at_start(certificate, tmp_path):
    check_certificate(*certificate)
    with pytest.raises(InputError, match=r"nope\.pem: there is no such file"):
        check_certificate(certificate[0], tmp_path / "nope.pem")
    with pytest.raises(InputError, match="not a PEM certificate"):
        check_certificate(certificate[1], certificate[0])


def test_nobody_listens_beyond_this_machine_without_a_key(tmp_path):
    settings = Settings(home=tmp_path)
    with pytest.raises(InputError, match="keys create"):
        listen("0.0.0.0", 0, settings)
    listen("0.0.0.0", 0, Settings(home=tmp_path, allow_remote=True)).close()
    listen("0.0.0.0", 0, Settings(home=tmp_path, require_key=True)).close()
    with Store.open(settings.store) as store:
        ApiKeys(store.engine).create("crm", ["read"])
    listen("0.0.0.0", 0, settings).close()

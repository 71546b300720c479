import asyncio
import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from data.settings import Settings
from serving.api import create_app
from tests.stubs import StubTagger, tagged
from whyscore_client import (
    AsyncClient,
    Client,
    ConnectionFailedError,
    JobFailedError,
    ProblemError,
    models,
)
from whyscore_client.calls import LineSplitter, Retries

ITEM = {"response_id": "a/b c", "score": 3, "comment": "Billed\u2028twice", "respondent_id": "ana"}


class InThisProcess(httpx.BaseTransport):
    """Lets a synchronous client talk to an application, one request at a time."""

    def __init__(self, app):
        self.app = app

    def handle_request(self, request):
        body = request.read()

        async def answer():
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            sent = httpx.Request(request.method, request.url, headers=request.headers, content=body)
            given = await transport.handle_async_request(sent)
            return given.status_code, given.headers, b"".join([part async for part in given.aiter_raw()])

        status, headers, content = asyncio.run(answer())
        return httpx.Response(status, headers=headers, content=content)


@pytest.fixture
def app(tmp_path):
    app = create_app(Settings(home=tmp_path, max_body_mb=1), StubTagger())
    with app.state.service.store:
        yield app


def synchronous(app, **more):
    return Client("http://localhost", transport=InThisProcess(app), **more)


def asynchronous(app, **more):
    return AsyncClient("http://localhost", transport=httpx.ASGITransport(app), **more)


# Against the service.


def test_the_synchronous_client_goes_the_whole_way(app, tmp_path):
    file = tmp_path / "april.csv"
    file.write_text(
        'id,Why?,score,responded_at\nr1,Billed,3,2026-04-01\nr2,fine,9,2026-04-09\nr3,"The price",5,\n'
    )
    with synchronous(app) as client:
        assert client.get_health().status == "ok"
        assert client.tag([ITEM]).responses[0].tags[0].evidence[0].text == "Billed\u2028twice"
        assert client.upsert([ITEM]).created == 1
        assert client.get_response("a/b c").comment == ITEM["comment"]
        assert client.change_response("a/b c", {"region": "North"}).segments == {"region": "North"}
        client.replace_response("r9", {"comment": "The agent"})
        job = client.import_file(file, columns={"comment": "Why?", "response_id": "id"})
        client._sleep = lambda _: app.state.worker.run_one()
        assert client.wait(job.job_id).counts["created"] == 3
        assert [one.job_id for one in client.iter_jobs()] == [job.job_id]
        assert len(list(client.iter_responses(limit=2))) == 5
        assert client.rank_root_causes("region").groups.keys() == {"", "North"}
        assert client.measure_metric(period="week").periods
        assert client.follow_causes().causes
        assert client.list_hotspots().hotspots == []
        assert client.list_findings().q == 0.1
        assert {one.name for one in client.list_segments().segments} >= {"region"}
        assert client.get_taxonomy().version == 3
        assert [one.version for one in client.iter_taxonomy_versions()] == [3, 2, 1]
        assert client.keep_annotations([{"comment": "x\u2028y", "codes": []}]).created == 1
        assert [one.comment for one in client.export_annotations()] == ["x\u2028y"]
        assert len(list(client.iter_annotations())) == 1
        assert list(client.iter_models()) == []
        assert client.erase_respondent("ana").responses == 1
        client.delete_response("r9")
        with pytest.raises(ProblemError) as caught:
            client.get_response("r9")
        assert caught.value.status == 404
        file.write_text("comment,score\nx,11\n")
        with pytest.raises(JobFailedError, match="row 2"):
            client.wait(client.import_file(file).job_id)
        assert client.get_readiness().responses == 3


def test_a_stream_goes_through_both_clients(app):
    items = [{"response_id": f"r{i}", "comment": "Billed\x85\u2028"} for i in range(300)]
    items[7] = {"score": 99}
    with synchronous(app) as client:
        first = list(client.tag_stream(iter(items)))

    async def again():
        async def given():
            for item in items:
                yield item

        async with asynchronous(app) as client:
            return [row async for row in client.tag_stream(given())]

    assert asyncio.run(again()) == first
    assert [row.response_id for row in first[:7]] == [f"r{i}" for i in range(7)]
    assert isinstance(first[7], models.LineError)
    assert (first[7].line, len(first)) == (8, 300)


def test_the_asynchronous_client_does_the_same(app, tmp_path):
    file = tmp_path / "april.ndjson"
    file.write_text('{"response_id": "r1", "comment": "Billed"}\n')

    async def go():
        async with asynchronous(app) as client:
            await client.upsert(
                [ITEM, {"response_id": "r2", "responded_at": datetime(2026, 4, 1, tzinfo=UTC)}]
            )
            job = await client.import_file(file)
            await asyncio.to_thread(app.state.worker.run_one)
            assert (await client.wait(job.job_id)).state == "done"
            found = [row.response_id async for row in client.iter_responses(limit=1)]
            assert sorted(found) == ["a/b c", "r1", "r2"]
            await client.keep_annotations([{"comment": "x", "codes": []}])
            assert [one.codes async for one in client.export_annotations()] == [[]]
            with pytest.raises(ProblemError):
                await client.upsert([{"response_id": "r", "score": 99}])
            with pytest.raises(ProblemError):
                [row async for row in client.tag_stream([], "best")]

    asyncio.run(go())


ANSWERS = [
    {"response_id": f"r{i}", "score": score, "comment": "Billed", "respondent_id": "ana", "responded_at": at}
    for i, (score, at) in enumerate([(2, datetime.now(UTC).isoformat()), (9, datetime.now(UTC).isoformat())])
]


def test_follow_ups_webhooks_and_keys_go_through_the_client(app):
    with synchronous(app) as client:
        made = client.create_webhook_subscription("https://example.com/in", ["follow_up.opened"], "crm")
        assert made.secret.startswith("whsec_")
        client.upsert(ANSWERS)
        contact, thank = sorted(client.iter_follow_ups(limit=1), key=lambda one: one.kind)
        assert (contact.kind, contact.owner, thank.kind) == ("contact", "manager", "thank")
        client.assign_follow_up(contact.follow_up_id, "ben", "ana")
        client.note_follow_up(contact.follow_up_id, "Called", "ben")
        done = client.move_follow_up(contact.follow_up_id, "resolved", "ben", outcome="recovered")
        assert (done.state, done.outcome) == ("resolved", "recovered")
        history = client.get_follow_up(contact.follow_up_id).history
        assert [one.action for one in history] == ["opened", "assigned", "noted", "resolved"]
        assert client.get_follow_up_report().level == 0.95
        assert [one.subscription_id for one in client.list_webhook_subscriptions().subscriptions] == [
            made.subscription_id
        ]
        first = client.list_webhook_deliveries(limit=1)
        assert first.next
        every = list(client.iter_webhook_deliveries("pending"))
        assert len(every) == 2
        assert client.list_webhook_deliveries(cursor=first.next_cursor).deliveries == [
            one for one in every if one.delivery_id != first.deliveries[0].delivery_id
        ]
        assert client.redeliver_webhook(every[0].delivery_id).attempts == 0
        client.delete_webhook_subscription(made.subscription_id)
        assert list(client.iter_webhook_deliveries()) == []
        key = client.create_key("ops", ["admin"], rate="100/minute")
        with pytest.raises(ProblemError) as caught:
            client.list_keys()
        assert caught.value.status == 401
    with synchronous(app, api_key=key.key) as client:
        again = client.rotate_key(key.key_id)
        assert again.key != key.key
        assert [one.name for one in client.list_keys().keys] == ["ops"]
        assert client.revoke_key(key.key_id).keys[0].status == "revoked"


def test_the_asynchronous_client_closes_the_loop_too(app):
    async def go():
        async with asynchronous(app) as client:
            await client.upsert(ANSWERS)
            found = [one async for one in client.iter_follow_ups(kind="contact")]
            moved = await client.move_follow_up(found[0].follow_up_id, "acknowledged", "ana")
            assert moved.state == "acknowledged"
            assert (await client.get_serving_model()).model == "stub/1"
            assert (await client.get_shadow_report()).challenger is None
            assert (await client.tag([ITEM], model="stub/1")).model == "stub/1"
            with pytest.raises(ProblemError):
                await client.tag_with_version(7, [ITEM])
            masked = [{"response_id": "m", "comment": "Billed to jo@x.org", "respondent_id": "jo@x.org"}]
            await client.upsert(masked, mask=["email"])
            kept = await client.get_response("m")
            assert kept.comment == "Billed to [email]"
            assert kept.respondent_id.startswith("person-")

    asyncio.run(go())


def test_what_a_client_reads_it_can_send_back(app):
    with synchronous(app) as client:
        app.state.service.store.upsert([tagged("r1", segments={"region": "North"})])
        read = client.get_response("r1")
        said = {"tags", "status", "abstained", "model", "taxonomy_version"}
        item = read.model_dump(mode="json", exclude=said)
        assert client.replace_response("r1", item) == read


# Trouble.


def faulty(answers, seen):
    def answer(request):
        seen.append(request)
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    client = Client("http://localhost", transport=httpx.MockTransport(answer), retries=Retries(3))
    waits = []
    client._sleep = waits.append
    return client, waits


def kept(created=1):
    names = models.UpsertReply.model_fields
    return httpx.Response(200, json=dict.fromkeys(names, 0) | {"created": created, "model": "m/1"})


def test_a_server_that_is_busy_is_asked_again_with_the_same_key():
    seen = []
    busy = httpx.Response(429, headers={"Retry-After": "7"})
    later = httpx.Response(503, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})
    doing = httpx.Response(
        409,
        json={
            "type": "urn:whyscore:problem:request-in-progress",
            "title": "Request in progress",
            "status": 409,
            "detail": "wait",
        },
    )
    client, waits = faulty([busy, later, doing, kept()], seen)
    assert client.upsert([ITEM]).created == 1
    assert waits[:2] == [7, 0]
    assert 1 <= waits[2] <= 2
    assert len({request.headers["idempotency-key"] for request in seen}) == 1
    assert len({request.content for request in seen}) == 1


@pytest.mark.parametrize(("error", "sent"), [(httpx.ReadTimeout, 1), (httpx.ConnectError, 2)])
def test_what_does_harm_twice_is_sent_again_only_if_it_never_arrived(error, sent):
    key = {"key_id": "k", "name": "crm", "scopes": ["read"], "status": "good", "rate": None, "key": "wsk"}
    moments = dict.fromkeys(["expires_at", "revoked_at", "previous_until", "last_used_at"])
    made = httpx.Response(200, json=key | moments | {"created_at": "2026-04-01T00:00:00+00:00"})
    url, told = "https://example.com/in", ["response.tagged"]
    for call in (
        lambda c: c.create_key("crm", ["read"]),
        lambda c: c.create_webhook_subscription(url, told),
    ):
        client, _ = faulty([error("no"), made], seen := [])
        with suppress(ConnectionFailedError, ValueError):
            call(client)
        assert len(seen) == sent
    client, _ = faulty([httpx.Response(429), made], [])
    assert client.create_key("crm", ["read"]).key == "wsk"


def test_waits_grow_to_a_bound_and_end(tmp_path):
    seen = []
    client, waits = faulty([httpx.ConnectError("no")] * 4, seen)
    with pytest.raises(ConnectionFailedError):
        client.get_health()
    assert [0.25 <= waits[0] <= 0.5, 0.5 <= waits[1] <= 1, 1 <= waits[2] <= 2] == [True] * 3
    assert Retries(longest=3).wait(20, None) <= 3
    file = tmp_path / "a.csv"
    file.write_bytes(b"comment\n" * 300_000)
    client, _ = faulty([httpx.Response(503), httpx.Response(503), kept()], seen := [])
    client.upsert_file(file)
    assert {request.read() for request in seen} == {file.read_bytes()}


@pytest.mark.parametrize("content", [b"<html>", b"{}", b"[]"])
def test_a_fault_that_is_no_problem_document_is_a_problem_all_the_same(content):
    client, waits = faulty([httpx.Response(502, content=content)], [])
    with pytest.raises(ProblemError) as caught:
        client.get_health()
    assert (caught.value.status, waits) == (502, [])


def test_the_key_goes_along_and_the_file_must_be_known():
    seen = []
    client = Client(
        "http://h", api_key="k", transport=httpx.MockTransport(lambda r: seen.append(r) or kept())
    )
    client.upsert([])
    assert seen[0].headers["authorization"] == "Bearer k"
    with pytest.raises(ValueError, match="ending"):
        client.upsert_file("a.pdf")


def test_lines_end_at_line_feeds_alone():
    text = "a\u2028b\x85\r\n\nc".encode()
    for size in range(1, len(text) + 1):
        splitter = LineSplitter()
        pieces = [text[i : i + size] for i in range(0, len(text), size)]
        lines = [line for piece in pieces for line in splitter.push(piece)] + list(splitter.end())
        assert lines == text.split(b"\n")


def test_the_client_needs_nothing_of_the_product():
    folder = Path(__file__).parents[1] / "client" / "whyscore_client"
    for path in folder.glob("*.py"):
        assert not re.search(
            r"^(from|import) (data|model|serving|training|whyscore)\b", path.read_text(), re.M
        )

import asyncio
import inspect
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from data.settings import Settings
from serving import key_schemas, loop_schemas, schemas_models
from serving.api import create_app
from tests.stubs import StubTagger, tagged
from whyscore_client import (
    AsyncClient,
    Client,
    ConnectionFailedError,
    JobFailedError,
    ProblemError,
    models,
    records,
)
from whyscore_client.calls import LineSplitter, Retries
from whyscore_client.records import Record

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


# Against the OpenAPI document.


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    app = create_app(Settings(home=tmp_path_factory.mktemp("home")), StubTagger())
    with app.state.service.store:
        return app.openapi()


def exercised(client, file):
    """Call every method once, with every argument."""
    wanted = {"segment": "a:b", "since": datetime(2026, 1, 1, tzinfo=UTC), "until": "2026-02-01"}
    page = {"limit": 2, "cursor": "x"}
    return {
        "get_health": client.get_health,
        "get_readiness": client.get_readiness,
        "tag": lambda: client.tag([ITEM], "high_recall"),
        "tag_stream": lambda: list(client.tag_stream([ITEM], "high_recall")),
        "upsert": lambda: client.upsert([ITEM]),
        "upsert_file": lambda: client.upsert_file(file, columns={"comment": "Why?"}, date_format="%Y"),
        "list_responses": lambda: client.list_responses(
            code="a", polarity="non_positive", status="tagged", order="newest", **wanted, **page
        ),
        "get_response": lambda: client.get_response("a/b"),
        "replace_response": lambda: client.replace_response("a/b", ITEM, if_match="x"),
        "change_response": lambda: client.change_response("a/b", {"score": None}, if_match="x"),
        "delete_response": lambda: client.delete_response("a/b"),
        "erase_respondent": lambda: client.erase_respondent("a/b"),
        "rank_root_causes": lambda: client.rank_root_causes("region", **wanted),
        "measure_metric": lambda: client.measure_metric("region", "week", **wanted),
        "follow_causes": lambda: client.follow_causes("week", ["a", "b"], **wanted),
        "list_hotspots": lambda: client.list_hotspots(0.2, **wanted),
        "list_findings": client.list_findings,
        "list_segments": client.list_segments,
        "get_taxonomy": client.get_taxonomy,
        "list_taxonomy_versions": lambda: client.list_taxonomy_versions(**page),
        "keep_annotations": lambda: client.keep_annotations([{"comment": "x", "codes": []}]),
        "keep_annotations_file": lambda: client.keep_annotations_file(file.with_suffix(".jsonl")),
        "list_annotations": lambda: client.list_annotations(**page),
        "export_annotations": lambda: list(client.export_annotations()),
        "list_models": lambda: client.list_models(**page),
        "get_model": lambda: client.get_model(3),
        "promote_model": lambda: client.promote_model(3),
        "roll_back_model": client.roll_back_model,
        "import_file": lambda: client.import_file(file, columns={"comment": "Why?"}, date_format="%Y"),
        "list_jobs": lambda: client.list_jobs(**page),
        "get_job": lambda: client.get_job("j"),
        "cancel_job": lambda: client.cancel_job("j"),
    }


OWN = {"close", "wait", *(name for name in vars(Client) if name.startswith(("iter_", "_")))}
# The client has no methods of these: for administrators, browsers, survey tools, and closing the loop.
LEFT_TO_HTTP = {
    "assignFollowUp",
    "beginSession",
    "checkWebhook",
    "createKey",
    "createWebhookSubscription",
    "deleteWebhookSubscription",
    "endSession",
    "getFollowUp",
    "getFollowUpReport",
    "getServingModel",
    "getShadowReport",
    "listFollowUps",
    "listKeys",
    "listWebhookDeliveries",
    "listWebhookSubscriptions",
    "moveFollowUp",
    "noteFollowUp",
    "receiveWebhook",
    "redeliverWebhook",
    "revokeKey",
    "rotateKey",
    "tagWithVersion",
}


def test_every_operation_has_a_method_that_sends_what_it_takes(document, tmp_path):
    sent = []

    def answer(request):
        request.read()
        sent.append(request)
        return httpx.Response(418, json={})

    file = tmp_path / "a.csv.gz"
    file.write_bytes(b"")
    (tmp_path / "a.csv.jsonl").write_bytes(b"")
    client = Client("http://localhost", transport=httpx.MockTransport(answer), retries=Retries(0))
    calls = exercised(client, file)
    assert set(calls) == set(vars(Client)) - OWN
    for call in calls.values():
        with pytest.raises(ProblemError):
            call()
    reached = {operation_of(document, request)["operationId"] for request in sent}
    every = {one["operationId"] for methods in document["paths"].values() for one in methods.values()}
    assert reached == every - LEFT_TO_HTTP


def operation_of(document, request):
    """Find the operation of a request, and check that it takes all of it."""
    path = request.url.raw_path.decode().partition("?")[0]
    matching = [
        (template, methods)
        for template, methods in document["paths"].items()
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path) and request.method.lower() in methods
    ]
    template, methods = min(matching, key=lambda found: found[0].count("{"))
    operation = methods[request.method.lower()]
    known = {(one["in"], one["name"].lower()) for one in operation.get("parameters", [])}
    assert {("query", name) for name in request.url.params} <= known, template
    for name in ("if-match", "idempotency-key"):
        assert (name in request.headers) <= (("header", name) in known), template
        assert (("header", name) in known and name == "idempotency-key") <= (name in request.headers), (
            template
        )
    if request.content:
        assert request.headers["content-type"] in operation["requestBody"]["content"], template
    return operation


NAMES = {
    "TaggedRecord": "TaggedResponse",
    "RankingReply": "Ranking",
    "RootCausesReply": "RootCauses",
    "TrendsReply": "Trends",
    "HotspotsReply": "Hotspots",
    "FindingsReply": "Findings",
    "SegmentsReply": "Segments",
    "TaxonomyReply": "Taxonomy",
    "ResponsesReply": "ResponsesPage",
    "AnnotationsReply": "AnnotationsPage",
    "AnnotationRecord": "Annotation",
    "TaxonomyVersionsReply": "TaxonomyVersionsPage",
    "ModelsReply": "ModelsPage",
    "ChampionReply": "Champion",
    "JobsReply": "JobsPage",
    "JobReply": "Job",
}
IN_PART = {"RootCause", "Hotspot", "Metric"}  # further fields are kept as they come
NO_REPLY = {"AnnotationIn", "CodeLabelIn", "ResponseIn", "JobProblem"}


KEPT_AS_THEY_COME = {
    "Change",
    "Correction",
    "Impact",
    "ModelFigure",
    "RankingCorrection",
    "SegmentCell",
    "SegmentCells",
}
LEFT_REPLIES = {name for room in (key_schemas, loop_schemas, schemas_models) for name in vars(room)}


def test_what_the_client_reads_is_what_the_document_gives(document):
    schemas, compared = document["components"]["schemas"], set()
    for name, schema in schemas.items():
        model = getattr(models, NAMES.get(name, name), getattr(records, name, None))
        if name.endswith("Request") or name in NO_REPLY or "properties" not in schema:
            continue
        if model is None:
            assert name in KEPT_AS_THEY_COME or name in LEFT_REPLIES, name
            continue
        mine = {field.alias or key: field for key, field in model.model_fields.items()}
        assert mine.keys() <= schema["properties"].keys(), name
        assert {key for key, field in mine.items() if field.is_required()} <= set(
            schema.get("required", [])
        ), name
        if name not in IN_PART:
            assert schema["properties"].keys() == mine.keys(), name
        for key, field in mine.items():
            shown = json.dumps(schema["properties"][key])
            assert ('"null"' in shown) <= (type(None) in getattr(field.annotation, "__args__", ())), (
                name,
                key,
            )
        compared.add(model)
    own = {
        one
        for one in vars(models).values()
        if isinstance(one, type) and issubclass(one, Record) and one.__module__ == models.__name__
    }
    assert own <= compared


def test_both_clients_have_the_same_methods():
    def signatures(client):
        return {
            name: list(inspect.signature(method).parameters)
            for name, method in vars(client).items()
            if callable(method) and not name.startswith("_")
        }

    assert signatures(Client) == signatures(AsyncClient)


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
    return httpx.Response(200, json=dict.fromkeys(names, 0) | {"created": created})


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

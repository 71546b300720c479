"""The client against the OpenAPI document: each operation has a method, each reply a model."""

import inspect
import re
from datetime import UTC, datetime

import httpx
import pytest

from data.settings import Settings
from serving.api import create_app
from tests.stubs import StubTagger
from whyscore_client import AsyncClient, Client, ProblemError, models, records, service_models
from whyscore_client.calls import Retries
from whyscore_client.records import Record

ITEM = {"response_id": "a/b c", "score": 3, "comment": "Billed", "respondent_id": "ana"}


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
        "tag": lambda: client.tag([ITEM], "high_recall", model="reason-codes/7", mask=["card"]),
        "tag_stream": lambda: list(client.tag_stream([ITEM], "high_recall", model="2", mask=["card"])),
        "upsert": lambda: client.upsert([ITEM], mask=["card"]),
        "upsert_file": lambda: client.upsert_file(
            file, columns={"comment": "Why?"}, date_format="%Y", mask=["card", "email"]
        ),
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
        "tag_with_version": lambda: client.tag_with_version(7, [ITEM], "high_recall", mask=["card"]),
        "get_serving_model": client.get_serving_model,
        "get_shadow_report": client.get_shadow_report,
        "import_file": lambda: client.import_file(
            file, columns={"comment": "Why?"}, date_format="%Y", mask=["card"]
        ),
        "list_follow_ups": lambda: client.list_follow_ups(
            state="open", kind="contact", owner="ana", response_id="r1", overdue=True, **page
        ),
        "get_follow_up": lambda: client.get_follow_up("fu/1"),
        "move_follow_up": lambda: client.move_follow_up(
            "fu/1", "resolved", "ana", outcome="recovered", note="x"
        ),
        "assign_follow_up": lambda: client.assign_follow_up("fu/1", None, "ana"),
        "note_follow_up": lambda: client.note_follow_up("fu/1", "Called", "ana"),
        "get_follow_up_report": client.get_follow_up_report,
        "list_webhook_subscriptions": client.list_webhook_subscriptions,
        "create_webhook_subscription": lambda: client.create_webhook_subscription(
            "https://example.com/in", ["response.tagged"], "crm"
        ),
        "delete_webhook_subscription": lambda: client.delete_webhook_subscription("sub/1"),
        "list_webhook_deliveries": lambda: client.list_webhook_deliveries("dead", "sub_1", **page),
        "redeliver_webhook": lambda: client.redeliver_webhook("dlv/1"),
        "list_keys": client.list_keys,
        "create_key": lambda: client.create_key("crm", ["read"], expires_in_days=3, rate="9/minute"),
        "rotate_key": lambda: client.rotate_key("k/1", grace_hours=0),
        "revoke_key": lambda: client.revoke_key("k/1"),
        "list_jobs": lambda: client.list_jobs(**page),
        "get_job": lambda: client.get_job("j"),
        "cancel_job": lambda: client.cancel_job("j"),
    }


def methods_of(client):
    return {name: one for name, one in inspect.getmembers(client, inspect.isfunction) if name[0] != "_"}


OWN = {"close", "wait", *(name for name in methods_of(Client) if name.startswith("iter_"))}
LEFT_TO_OTHERS = {
    "beginSession": "a browser's, whose cookie no program needs",
    "endSession": "a browser's",
    "checkWebhook": "a survey tool's, which asks before it sends",
    "receiveWebhook": "a survey tool's, signed as it signs",
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
    assert set(calls) == set(methods_of(Client)) - OWN
    for call in calls.values():
        with pytest.raises(ProblemError):
            call()
    reached = {operation_of(document, request)["operationId"] for request in sent}
    every = {one["operationId"] for methods in document["paths"].values() for one in methods.values()}
    assert reached == every - LEFT_TO_OTHERS.keys()


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
    "FollowUpRecord": "FollowUp",
    "FollowUpsReply": "FollowUpsPage",
    "FollowUpReply": "FollowUpHistory",
    "MeanChangeRecord": "MeanChange",
    "DifferenceRecord": "Difference",
    "SubscriptionRecord": "Subscription",
    "SubscriptionReply": "NewSubscription",
    "SubscriptionsReply": "Subscriptions",
    "DroppedReply": "DroppedSubscription",
    "DeliveryRecord": "Delivery",
    "DeliveriesReply": "DeliveriesPage",
    "KeyRecord": "ApiKey",
    "NewKeyReply": "NewApiKey",
    "KeysReply": "ApiKeys",
    "ServingReply": "ServingModel",
    "ShadowReply": "ShadowReport",
    "CodeAgreementReply": "CodeAgreement",
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
OTHERS_REPLIES = {"ReceiptReply", "SourceReply", "SessionReply"}


def test_what_the_client_reads_is_what_the_document_gives(document):
    schemas, compared = document["components"]["schemas"], set()
    for name, schema in schemas.items():
        rooms = (models, service_models, records)
        model = next((one for room in rooms if (one := getattr(room, NAMES.get(name, name), None))), None)
        if name.endswith("Request") or name in NO_REPLY or "properties" not in schema:
            continue
        if model is None:
            assert name in KEPT_AS_THEY_COME | OTHERS_REPLIES, name
            continue
        mine = {field.alias or key: field for key, field in model.model_fields.items()}
        assert mine.keys() <= schema["properties"].keys(), name
        assert {key for key, field in mine.items() if field.is_required()} <= set(
            schema.get("required", [])
        ), name
        if name not in IN_PART:
            assert schema["properties"].keys() == mine.keys(), name
        for key, field in mine.items():
            nullable = {"type": "null"} in schema["properties"][key].get("anyOf", [])
            assert nullable <= (type(None) in getattr(field.annotation, "__args__", ())), (
                name,
                key,
            )
        compared.add(model)
    own = {
        one
        for room in (models, service_models)
        for one in vars(room).values()
        if isinstance(one, type) and issubclass(one, Record) and one.__module__ == room.__name__
    }
    assert own <= compared


def test_both_clients_have_the_same_methods():
    def signatures(client):
        return {
            name: list(inspect.signature(method).parameters) for name, method in methods_of(client).items()
        }

    assert signatures(Client) == signatures(AsyncClient)

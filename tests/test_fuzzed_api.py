"""Requests made up from the OpenAPI document: every answer is one that the document declares."""

import json

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from data.settings import Settings
from serving.api import create_app
from tests.http_client import ROWS
from tests.stubs import StubTagger

pytestmark = pytest.mark.slow

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    app = create_app(
        Settings(home=tmp_path_factory.mktemp("home"), max_body_mb=1, max_upload_mb=1, allow_remote=True),
        StubTagger(),
    )
    with app.state.service.store as store:
        store.upsert(ROWS)
        yield schemathesis.openapi.from_asgi("/openapi.json", app)


@schemathesis.serializer("application/x-ndjson")
def as_lines(context, value):
    """Write made-up values as lines; bytes and texts are sent as they are."""
    if isinstance(value, bytes):
        return value
    items = value if isinstance(value, list) else [value]
    return "".join(json.dumps(item, default=str) + "\n" for item in items).encode()


OPERATIONS = [
    "getHealth",
    "getReadiness",
    "tagResponses",
    "tagStream",
    "upsertResponses",
    "listResponses",
    "getResponse",
    "replaceResponse",
    "changeResponse",
    "deleteResponse",
    "eraseRespondent",
    "rankRootCauses",
    "measureMetric",
    "followCauses",
    "listHotspots",
    "listFindings",
    "listSegments",
    "getTaxonomy",
    "listTaxonomyVersions",
    "keepAnnotations",
    "listAnnotations",
    "exportAnnotations",
    "listModels",
    "getModel",
    "promoteModel",
    "rollBackModel",
    "createJob",
    "listJobs",
    "getJob",
    "cancelJob",
    "getServingModel",
    "getShadowReport",
    "tagWithVersion",
    "listFollowUps",
    "getFollowUp",
    "getFollowUpReport",
    "moveFollowUp",
    "assignFollowUp",
    "noteFollowUp",
    "checkWebhook",
    "receiveWebhook",
    "listWebhookSubscriptions",
    "createWebhookSubscription",
    "deleteWebhookSubscription",
    "listWebhookDeliveries",
    "redeliverWebhook",
    "listKeys",
    "revokeKey",
    "rotateKey",
    "beginSession",
    "endSession",
    "createKey",  # last: the first key shuts the others out
]


def test_every_operation_is_fuzzed(api):
    found = [result.ok().definition.raw["operationId"] for result in api.get_all_operations()]
    assert sorted(found) == sorted(OPERATIONS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_answer_is_a_declared_one(api, name):
    operation = api.find_operation_by_id(name)

    @settings(
        max_examples=15,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def send(case):
        case.call_and_validate(checks=CHECKS)

    send()

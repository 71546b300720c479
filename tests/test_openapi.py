import json
import re

import pytest
from openapi_spec_validator import validate

from data.settings import Settings
from serving.api import create_app
from tests.stubs import StubTagger


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    app = create_app(Settings(home=tmp_path_factory.mktemp("home")), StubTagger())
    with app.state.service.store:
        yield app.openapi()


@pytest.fixture(scope="module")
def operations(document):
    return [operation for path in document["paths"].values() for operation in path.values()]


def test_the_document_is_valid_openapi(document):
    validate(document)


def test_every_operation_of_the_contract_is_there(document):
    assert {(method, path) for path, methods in document["paths"].items() for method in methods} == {
        ("post", "/v1/tag"),
        ("post", "/v1/responses"),
        ("get", "/v1/responses"),
        ("post", "/v1/tag/stream"),
        ("get", "/v1/responses/{response_id}"),
        ("put", "/v1/responses/{response_id}"),
        ("patch", "/v1/responses/{response_id}"),
        ("delete", "/v1/responses/{response_id}"),
        ("delete", "/v1/respondents/{respondent_id}"),
        ("get", "/v1/root-causes"),
        ("get", "/v1/nps"),
        ("get", "/v1/trends"),
        ("get", "/v1/hotspots"),
        ("get", "/v1/taxonomy/versions"),
        ("get", "/v1/annotations"),
        ("post", "/v1/annotations"),
        ("get", "/v1/annotations/export"),
        ("get", "/v1/models"),
        ("get", "/v1/models/{version}"),
        ("post", "/v1/models/{version}/promote"),
        ("post", "/v1/models/rollback"),
        ("get", "/v1/jobs"),
        ("post", "/v1/jobs"),
        ("get", "/v1/jobs/{job_id}"),
        ("delete", "/v1/jobs/{job_id}"),
        ("get", "/v1/findings"),
        ("get", "/v1/segments"),
        ("get", "/v1/taxonomy"),
        ("get", "/v1/keys"),
        ("post", "/v1/keys"),
        ("post", "/v1/keys/{key_id}/rotate"),
        ("delete", "/v1/keys/{key_id}"),
        ("post", "/v1/session"),
        ("delete", "/v1/session"),
        ("get", "/v1/follow-ups"),
        ("get", "/v1/follow-up-report"),
        ("get", "/v1/follow-ups/{follow_up_id}"),
        ("post", "/v1/follow-ups/{follow_up_id}/transitions"),
        ("post", "/v1/follow-ups/{follow_up_id}/assignment"),
        ("post", "/v1/follow-ups/{follow_up_id}/notes"),
        ("post", "/v1/webhooks/{source}"),
        ("get", "/v1/webhooks/{source}"),
        ("get", "/v1/webhook-subscriptions"),
        ("post", "/v1/webhook-subscriptions"),
        ("delete", "/v1/webhook-subscriptions/{subscription_id}"),
        ("get", "/v1/webhook-deliveries"),
        ("post", "/v1/webhook-deliveries/{delivery_id}/redelivery"),
        ("get", "/v1/models/serving"),
        ("get", "/v1/models/shadow"),
        ("post", "/v1/models/{version}/tag"),
        ("get", "/healthz"),
        ("get", "/readyz"),
    }


def test_operation_ids_are_names_and_each_is_used_once(operations):
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z]+([A-Z][a-z]+)+", name) for name in ids)


def test_every_operation_says_what_it_does_and_gives(operations):
    for operation in operations:
        assert operation["summary"]
        assert operation["description"].endswith(".")
        (status,) = [status for status in operation["responses"] if status.startswith("2")]
        content = operation["responses"][status].get("content", {})
        if content.keys() == {"application/x-ndjson"}:
            assert content["application/x-ndjson"]["x-item-schema"]["anyOf"]
        elif status != "204":
            assert content["application/json"]["schema"]["$ref"]
        for parameter in operation.get("parameters", []):
            assert parameter["description"].endswith(".")


def test_every_operation_declares_its_problems_and_nothing_else(operations):
    for operation in operations:
        problems = {status: r for status, r in operation["responses"].items() if status >= "400"}
        assert "500" in problems
        assert ("422" in problems) == ("parameters" in operation or "requestBody" in operation)
        assert ("415" in problems) == ("requestBody" in operation)
        assert "413" not in problems or "requestBody" in operation
        for problem in problems.values():
            assert problem["content"] == {
                "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
            }


def test_bodies_are_described(document):
    bodies = {
        path: methods["post"]["requestBody"]
        for path, methods in document["paths"].items()
        if "requestBody" in methods.get("post", {})
    }
    assert set(bodies["/v1/tag"]["content"]) == {"application/json"}
    files = {
        "text/csv",
        "text/tab-separated-values",
        "application/x-ndjson",
        "application/vnd.apache.parquet",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    }
    assert set(bodies["/v1/responses"]["content"]) == {"application/json", *files}
    assert set(bodies["/v1/jobs"]["content"]) == files
    assert set(bodies["/v1/tag/stream"]["content"]) == {"application/x-ndjson"}
    assert set(bodies["/v1/annotations"]["content"]) == {"application/json", "application/x-ndjson"}
    assert all(body["required"] for body in bodies.values())


def test_every_schema_and_property_has_words(document):
    for name, schema in document["components"]["schemas"].items():
        assert schema["description"], name
        assert "---" not in schema["description"], name
        for key, prop in schema.get("properties", {}).items():
            assert prop.get("description"), f"{name}.{key}"


def test_every_schema_is_used(document):
    text = json.dumps(document)
    for name in document["components"]["schemas"]:
        assert f'"#/components/schemas/{name}"' in text, name

import itertools
import os
from contextlib import suppress

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from data.errors import InputError, NotFoundError
from data.scale import NPS
from data.settings import Settings
from serving.api import create_app
from serving.connectors.asknicely import AskNicely
from serving.connectors.configuration import read_connectors
from serving.connectors.delighted import Delighted
from serving.connectors.paths import value_at
from serving.connectors.receiving import receive
from tests import events
from tests.http_client import problem, served, store_of
from tests.stores import emptied
from tests.stubs import StubTagger


@pytest.fixture
def service(tmp_path, monkeypatch):
    path = events.connectors_file(tmp_path, monkeypatch)
    with served(tmp_path / "home", connectors=path) as client:
        yield client


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """A service that the tests of this file share: nothing that they send is stored."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        path = events.connectors_file(home, patch)
        with served(home / "home", connectors=path) as client:
            yield client


def stored(client):
    return {row.response.response_id: row.response for row in store_of(client).tagged()}


def test_each_source_sends_a_response(service):
    for source, event in [
        ("delighted", events.delighted()),
        ("shop-form", events.typeform()),
        ("asknicely", events.asknicely()),
        ("surveymonkey", events.surveymonkey()),
        ("desk", events.desk()),
    ]:
        answer = events.send(service, source, event)
        assert answer.status_code == 200, answer.text
        assert answer.json() == {
            "received": 1,
            "created": 1,
            "updated": 0,
            "unchanged": 0,
            "stale": 0,
            "named": 0,
        }
    rows = {key: (r.score, r.comment, r.respondent_id, r.segments) for key, r in stored(service).items()}
    assert rows == {
        "delighted:5435": (3, "Billed twice", "5975", {"region": "North", "vip": "true"}),
        "shop-form:a3a12ec67a13": (8, "The price", "c-17", {"region": "South", "plan": "Gold"}),
        "asknicely:345094": (
            10,
            "The agent was lovely",
            "163012",
            {"segment": "general", "deliverymethod": "email", "gym": "Riverside"},
        ),
        "surveymonkey:987654321": (2, "Billed again", "777", {"store": "12"}),
        "desk:77": (4, "Billed", None, {"team": "A"}),
    }
    assert stored(service)["asknicely:345094"].responded_at.isoformat() == "2026-03-31T20:48:45+00:00"


@pytest.mark.parametrize("source", ["delighted", "shop-form", "asknicely", "surveymonkey", "desk"])
def test_a_body_that_is_not_signed_is_refused_before_it_is_read(quiet, source):
    path, body, headers = events.signed(source, b'{"secret')
    name = next(name for name in headers if name != "content-type")
    for wrong in ({}, {name: ""}, {name: headers[name][:-2] + "xx"}):
        answer = quiet.post(path, content=body, headers={"content-type": "application/json", **wrong})
        problem(answer, 401)
    assert stored(quiet) == {}
    assert problem(quiet.post(path, content=body, headers=headers), 422)["detail"].startswith(
        "the body is not JSON"
    )


def test_a_signature_is_of_the_bytes_as_they_came(quiet):
    path, body, headers = events.signed("delighted", events.delighted())
    problem(quiet.post(path, content=body + b" ", headers=headers), 401)


def test_an_unknown_source_and_a_form_are_refused(quiet):
    problem(
        quiet.post("/v1/webhooks/nobody", content="{}", headers={"content-type": "application/json"}), 404
    )
    path, body, headers = events.signed("delighted", events.delighted())
    problem(quiet.post(path, content=body, headers=headers | {"content-type": "text/plain"}), 415)


def test_without_a_model_the_tool_is_told_to_come_again(tmp_path, monkeypatch):
    path = events.connectors_file(tmp_path, monkeypatch)
    app = create_app(Settings(home=tmp_path / "home", connectors=path))  # there is no champion yet
    with app.state.service.store, TestClient(app, base_url="http://localhost") as client:
        problem(events.send(client, "delighted", events.delighted()), 503)
        path, body, _ = events.signed("delighted", events.delighted())
        problem(client.post(path, content=body, headers={"content-type": "application/json"}), 401)


def test_delighteds_events_may_come_in_any_order_and_twice(service):
    for who, order in enumerate(itertools.permutations(range(3))):
        history = [
            events.delighted("created", 5, None, 1774000000, str(who)),
            events.delighted("updated", 5, "Billed twice", 1774000000, str(who)),  # within the same second
            events.delighted("updated", 6, "Billed once", 1774000300, str(who)),
        ]
        for place in (*order, *reversed(order)):
            assert events.send(service, "delighted", history[place]).status_code == 200
    assert {(row.score, row.comment) for row in stored(service).values()} == {(6, "Billed once")}
    assert len(stored(service)) == 6


@pytest.mark.parametrize("weight", ["heavy", "1.234,5", -1, 82.5])
def test_a_property_that_is_called_weight_is_the_customers_and_no_survey_weight(service, weight):
    event = events.delighted(key=f"w{weight}")
    event["event_data"]["person_properties"] = {"weight": weight, "score": 9}
    assert events.send(service, "delighted", event).status_code == 200
    row = stored(service)[f"delighted:w{weight}"]
    assert (row.score, row.weight) == (3, 1)
    assert row.segments == {"segment_weight": str(weight), "segment_score": "9"}


@given(st.lists(st.integers(1, 6), min_size=1, max_size=8), st.booleans())
def test_the_latest_version_stays_whatever_the_order(shared_events, counts, late):
    connectors, store = shared_events
    emptied(store)
    for count in counts:
        event = events.asknicely(str(count) if late else count, str(count), f"Comment {count}")
        _, body, headers = events.signed("asknicely", event)
        receive("asknicely", body, headers, connectors, StubTagger(), store, NPS)
    (row,) = store.tagged()
    assert (row.response.score, row.response.comment) == (max(counts), f"Comment {max(counts)}")


@pytest.fixture(scope="module")
def shared_events(tmp_path_factory, shared_store):
    folder = tmp_path_factory.mktemp("connectors")
    with pytest.MonkeyPatch.context() as patch:
        path = events.connectors_file(folder, patch)
        return read_connectors(path, dict(os.environ)), shared_store


def test_a_form_without_answers_is_a_response_without_any(service):
    event = events.typeform()
    del event["form_response"]["answers"]
    assert events.send(service, "shop-form", event).json()["created"] == 1
    (row,) = stored(service).values()
    assert (row.score, row.comment, row.respondent_id) == (None, None, "c-17")


def test_two_versions_in_one_event_leave_the_later_one(service):
    event = events.desk(revision=5, text="Billed late")
    event["tickets"] += events.desk(revision=4, text="Billed early")["tickets"]
    assert events.send(service, "desk", event).json()["received"] == 2
    assert [row.comment for row in stored(service).values()] == ["Billed late"]


@pytest.mark.parametrize(
    ("source", "event"),
    [
        ("delighted", {"event_type": "unsubscribe.created", "event_data": {"person_id": 1}}),
        (
            "delighted",
            events.delighted() | {"event_data": events.delighted()["event_data"] | {"survey_type": "csat"}},
        ),
        ("shop-form", events.typeform() | {"event_type": "form_response_partial"}),
        ("asknicely", events.asknicely(score="")),
        ("surveymonkey", events.surveymonkey() | {"response_status": "partial"}),
        ("surveymonkey", {"event_type": "survey_updated", "object_id": "1"}),
        ("desk", events.desk(event="opened")),
    ],
)
def test_events_of_other_kinds_are_accepted_and_left(quiet, source, event):
    answer = events.send(quiet, source, event)
    assert (answer.status_code, answer.json()["received"]) == (200, 0)
    assert stored(quiet) == {}


@pytest.mark.parametrize(
    ("source", "event", "words"),
    [
        ("delighted", [], "'body' is missing or no object"),
        ("delighted", {"event_type": "survey_response.created"}, "'event_data'"),
        ("delighted", events.delighted(score=11), "score: 11 is outside the NPS scale"),
        ("delighted", events.delighted(comment={"secret": 1}), "comment: the comment is not a text"),
        ("delighted", events.delighted(key=None), "'event_data.id' is missing"),
        ("delighted", events.delighted(updated_at="secret"), "'event_data.updated_at' is not a number"),
        ("shop-form", events.typeform(submitted_at="secret"), "'form_response.submitted_at' is not"),
        ("asknicely", events.asknicely(count="secret"), "'count' is not a number"),
        ("surveymonkey", events.notice(), "does not hold it; give the source an 'access_token_env'"),
        ("desk", {"event": "rated"}, "there is no list at 'tickets'"),
        ("surveymonkey", {"id": "1"}, "'pages', which holds the answers, is missing or no list"),
        ("surveymonkey", {"id": "1", "pages": 3}, "'pages', which holds the answers, is missing or no list"),
        ("desk", events.desk(revision="secret"), "'revision' is neither"),
    ],
)
def test_an_event_that_cannot_be_understood_is_a_sentence_without_its_content(quiet, source, event, words):
    assert words in problem(events.send(quiet, source, event), 422)["detail"]
    assert stored(quiet) == {}


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["event_type", "event_data", "id", "person", "question", "score", "count", "x"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_read_or_refused(payload):
    for connector in (Delighted(secret_env="A"), AskNicely(secret_env="A")):
        with suppress(InputError):
            connector.records(payload)


@pytest.mark.parametrize(
    ("path", "value"),
    [("a.b.1", 2), ("/a/b/0", 1), ("/x~1y/~0", 3), ("", {}), ("a.b.9", None), ("a.b.x", None), ("a.0", None)],
)
def test_paths_are_pointers_or_dotted(path, value):
    document = {"a": {"b": [1, 2]}, "x/y": {"~": 3}}
    assert value_at(document, path) == (value if path else document)


# The file.


def configured(tmp_path, monkeypatch, text):
    return read_connectors(events.connectors_file(tmp_path, monkeypatch, text))


def test_no_file_is_no_source():
    assert read_connectors(None).by_name == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "must hold 'connectors' alone"),
        ("connectors: {Bad Name: {kind: delighted}}", "small letters"),
        ("connectors: {desk: {kind: other, secret_env: DESK_SECRET}}", "connectors.desk.kind: it is one of"),
        ("connectors: {desk: {kind: {a: b}, secret_env: DESK_SECRET}}", "connectors.desk.kind: it is one of"),
        (
            "connectors:\n  delighted:\n    survey_types: [nps]",
            "connectors.delighted.secret_env: 'secret_env' is missing",
        ),
        ("connectors: {delighted: {secret_env: NOT_THERE}}", "the environment variable NOT_THERE is not set"),
        ("connectors: {delighted: {secret_env: DESK_SECRET, secret: abc}}", "'secret' is not a field"),
        ("connectors: {delighted: {secret_env: " + "A" * 999 + "}}", "at most 200 characters"),
        (
            "connectors: {typeform: {secret_env: DESK_SECRET}}",
            "connectors.typeform.score: 'score' is missing",
        ),
        (
            "connectors: {desk: {kind: generic, secret_env: DESK_SECRET, "
            "fields: {response_id: a, points: b}}}",
            "connectors.desk.fields: value error, 'points' is not one of",
        ),
        (
            "connectors: {desk: {kind: generic, secret_env: DESK_SECRET, fields: {score: a}}}",
            "'response_id' is missing",
        ),
        (
            "connectors: {desk: {kind: generic, secret_env: DESK_SECRET, fields: {response_id: a}, "
            "signature: {scheme: md5}}}",
            "connectors.desk.signature.scheme",
        ),
    ],
)
def test_a_fault_of_the_file_is_named_with_its_place(tmp_path, monkeypatch, text, words):
    with pytest.raises(InputError) as caught:
        configured(tmp_path, monkeypatch, text)
    assert words in str(caught.value)
    assert "connectors.yaml" in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(NotFoundError, match="no such file"):
        read_connectors(tmp_path / "none.yaml")


def test_secrets_are_shown_nowhere(tmp_path, monkeypatch):
    found = configured(tmp_path, monkeypatch, events.CONNECTORS)
    assert not any(secret in repr(found) for secret in events.SECRETS.values())

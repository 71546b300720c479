import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from data.api_keys import ApiKeys
from data.follow_ups import follow_up_id
from data.store import Store
from serving.connectors.signatures import StandardSignature
from serving.customer_loop import announce_promotion
from serving.webhook_delivery import Courier
from serving.webhook_worker import LEASE, WebhookWorker
from tests.http_client import problem, served, store_of

TODAY = datetime.now(UTC).isoformat()
R1 = follow_up_id("r1", "contact")


@pytest.fixture
def service(tmp_path):
    with served(tmp_path) as client:
        yield client


def send(client, *scores, comment="Billed, secret", at=TODAY):
    items = [
        {"response_id": f"r{i}", "score": score, "comment": comment, "responded_at": at}
        for i, score in enumerate(scores, start=1)
    ]
    answer = client.post("/v1/responses", json={"responses": items})
    assert answer.status_code == 200, answer.text


def post(client, path, **body):
    return client.post(f"/v1/follow-ups/{path}", json=body)


def listed(client, **query):
    answer = client.get("/v1/follow-ups", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["follow_ups"]


def test_a_response_opens_what_the_rules_ask_for_and_the_same_again_nothing(service):
    for _ in range(2):
        send(service, 2, 8, 10)
    assert {(one["response_id"], one["kind"], one["owner"]) for one in listed(service)} == {
        ("r1", "contact", "manager"),
        ("r2", "label", "training"),
        ("r3", "thank", None),
    }
    (contact,) = listed(service, kind="contact")
    assert contact["due_at"] > contact["opened_at"]


def test_the_trail_names_the_api_key_beside_the_actor(service):
    send(service, 2)
    key, text = ApiKeys(store_of(service).engine).create("crm", ["read", "write"])
    service.app.state.gate.watch.read()
    shown = {"X-API-Key": text}
    moved = {"state": "acknowledged", "actor": "ana"}
    assert service.post(f"/v1/follow-ups/{R1}/transitions", json=moved, headers=shown).status_code == 200
    history = service.get(f"/v1/follow-ups/{R1}", headers=shown).json()["history"]
    assert [one["actor"] for one in history] == ["system", f"ana (key crm, {key.key_id})"]


def test_a_follow_up_goes_its_way_over_http(service):
    send(service, 2)
    assert (
        post(service, f"{R1}/transitions", state="acknowledged", actor="ana").json()["state"]
        == "acknowledged"
    )
    assert post(service, f"{R1}/assignment", owner="ben", actor="ana").json()["owner"] == "ben"
    assert post(service, f"{R1}/notes", text="Called <b>", actor="ben").status_code == 200
    problem(post(service, f"{R1}/transitions", state="resolved", actor="ben"), 422)
    done = post(service, f"{R1}/transitions", state="resolved", actor="ben", outcome="recovered", note="Glad")
    assert done.json()["outcome"] == "recovered"
    refused = problem(post(service, f"{R1}/transitions", state="acknowledged", actor="ben"), 409)
    assert refused["detail"] == "the follow-up is resolved; from there it can be closed or reopened"
    again = post(service, f"{R1}/transitions", state="reopened", actor="ben").json()
    assert again["due_at"] is not None
    history = service.get(f"/v1/follow-ups/{R1}").json()["history"]
    assert [(one["action"], one["actor"], one["text"]) for one in history] == [
        ("opened", "system", None),
        ("acknowledged", "ana", None),
        ("assigned", "ana", None),
        ("noted", "ben", "Called <b>"),
        ("resolved", "ben", "Glad"),
        ("reopened", "ben", None),
    ]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("fu-none/transitions", {"state": "closed", "actor": "a", "outcome": "done"}, 404),
        ("fu-none/notes", {"text": "x", "actor": "a"}, 404),
        ("fu-none/transitions", {"state": "gone", "actor": "a"}, 422),
        ("fu-none/transitions", {"state": "closed"}, 422),
        ("fu-none/notes", {"text": "", "actor": "a"}, 422),
        ("fu-none/assignment", {"owner": "x" * 201, "actor": "a"}, 422),
    ],
)
def test_wrong_requests_are_problems(shared, path, body, status):
    problem(post(shared, path, **body), status)


def test_pages_and_filters_over_http(service):
    send(service, 1, 2, 3, 9)
    first = service.get("/v1/follow-ups", params={"limit": 3}).json()
    rest = service.get("/v1/follow-ups", params={"limit": 3, "cursor": first["next_cursor"]}).json()
    assert (len(first["follow_ups"]), len(rest["follow_ups"]), rest["next_cursor"]) == (3, 1, None)
    assert len(listed(service, state="open", kind="contact", owner="manager")) == 3
    assert listed(service, overdue=True) == []
    problem(service.get("/v1/follow-ups", params={"cursor": "x"}), 422)
    problem(service.get("/v1/follow-ups", params={"state": "gone"}), 422)
    problem(service.get("/v1/follow-ups/fu-none"), 404)


def test_a_history_opens_nothing_and_the_report_is_there(service):
    send(service, 1, 2, at="2020-04-01T10:00:00Z")
    assert listed(service) == []
    report = service.get("/v1/follow-up-report").json()
    assert (report["followed"]["n"], report["difference"], report["too_late"]) == (0, None, 0)
    assert report["notes"]


def test_whether_the_next_score_rose_is_told_over_http_and_by_the_command(tmp_path, whyscore):
    moment = datetime.now(UTC)
    with served(tmp_path / "home") as client:
        for who, spoken, next_score in (("ana", True, 9), ("ben", False, 3)):
            answer = {"respondent_id": who, "comment": "Billed"}
            first = {"response_id": f"{who}1", "score": 2, "responded_at": moment.isoformat()}
            client.post("/v1/responses", json={"responses": [answer | first]})
            if spoken:
                ends = {"state": "resolved", "actor": "eve", "outcome": "recovered"}
                key = follow_up_id(f"{who}1", "contact")
                assert client.post(f"/v1/follow-ups/{key}/transitions", json=ends).status_code == 200
            later = {"response_id": f"{who}2", "score": next_score}
            later["responded_at"] = (moment + timedelta(days=1)).isoformat()
            client.post("/v1/responses", json={"responses": [answer | later]})
        report = client.get("/v1/follow-up-report").json()
    assert (report["followed"]["n"], report["followed"]["change"]) == (1, 7)
    assert (report["not_followed"]["n"], report["not_followed"]["change"]) == (1, 1)
    code, out, _ = whyscore("follow-ups", "report", "--json")
    assert (code, json.loads(out)) == (0, report)


def test_a_response_and_its_follow_up_are_written_both_or_neither(service, monkeypatch):
    loop = service.app.state.loop
    monkeypatch.setattr(loop.follow_ups, "_announce", lambda *_: 1 / 0)
    answer = service.post("/v1/responses", json={"responses": [{"response_id": "r1", "score": 1}]})
    problem(answer, 500)
    assert store_of(service).count() == 0
    assert listed(service) == []


# Webhooks that leave.


@pytest.fixture
def receiver():
    """Give the requests that came, and what each is answered with."""
    seen, answers = [], []

    def answer(request):
        seen.append(request)
        return httpx.Response(answers.pop(0) if answers else 200)

    return seen, answers, httpx.MockTransport(answer)


@pytest.fixture
def quiet_service(tmp_path):
    """A service whose own worker is not running, so that a test takes its turns."""
    with served(tmp_path) as client:
        worker = client.app.state.webhook_worker
        worker.stop()
        yield client


def turns(client, transport, now=None):
    loop = client.app.state.loop
    if now is not None:
        loop = replace(loop, now=lambda: now)
    return WebhookWorker(loop, Courier(resolve=lambda *_: ["93.184.216.34"], transport=transport)).turn()


def subscribe(client, *events):
    return client.post(
        "/v1/webhook-subscriptions", json={"url": "https://example.com/in", "events": list(events)}
    )


def test_subscribers_are_told_signed_and_without_a_comment(quiet_service, receiver):
    seen, _, transport = receiver
    made = subscribe(quiet_service, "response.tagged", "follow_up.opened").json()
    send(quiet_service, 2)
    assert turns(quiet_service, transport) == 2
    told = {json.loads(request.content)["type"]: request for request in seen}
    assert set(told) == {"response.tagged", "follow_up.opened"}
    tagged = json.loads(told["response.tagged"].content)["data"]
    assert (tagged["response_id"], tagged["tags"][0]["code"]) == ("r1", "billing.unexpected-charge")
    for request in seen:
        assert StandardSignature().holds(request.content, request.headers, made["secret"].encode())
        assert b"secret" not in request.content
    assert turns(quiet_service, transport) == 0
    shown = quiet_service.get("/v1/webhook-subscriptions").json()["subscriptions"]
    assert [one["subscription_id"] for one in shown] == [made["subscription_id"]]
    assert "secret" not in shown[0]


def test_a_failure_is_tried_again_and_a_dead_one_by_hand(quiet_service, receiver):
    seen, answers, transport = receiver
    subscribe(quiet_service, "response.tagged")
    send(quiet_service, 9)
    quiet_service.app.state.loop.outbox.max_attempts = 2
    answers += [500, 503]
    later = datetime.now(UTC)
    for _ in range(2):
        assert turns(quiet_service, transport, later) == 1
        later += timedelta(minutes=1)
    (dead,) = quiet_service.get("/v1/webhook-deliveries", params={"state": "dead"}).json()["deliveries"]
    assert (dead["attempts"], dead["last_status"]) == (2, 503)
    again = quiet_service.post(f"/v1/webhook-deliveries/{dead['delivery_id']}/redelivery")
    assert again.json()["state"] == "pending"
    assert turns(quiet_service, transport, later) == 1
    assert len({request.headers["webhook-id"] for request in seen}) == 1  # so the receiver can tell
    problem(quiet_service.post("/v1/webhook-deliveries/dlv_none/redelivery"), 404)


def test_a_worker_that_dies_after_sending_sends_again(quiet_service, receiver, monkeypatch):
    seen, _, transport = receiver
    subscribe(quiet_service, "response.tagged")
    send(quiet_service, 9)
    outbox = quiet_service.app.state.loop.outbox
    with monkeypatch.context() as patch:
        patch.setattr(outbox, "arrived", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            turns(quiet_service, transport)
    assert turns(quiet_service, transport) == 0
    assert turns(quiet_service, transport, datetime.now(UTC) + LEASE) == 1
    assert len(seen) == 2
    assert seen[0].headers["webhook-id"] == seen[1].headers["webhook-id"]


def test_deadlines_and_promotions_are_told(quiet_service, receiver):
    seen, _, transport = receiver
    subscribe(quiet_service, "follow_up.overdue", "model.promoted")
    send(quiet_service, 2)
    assert announce_promotion(store_of(quiet_service), "reason-codes/8", "reason-codes/7") == 1
    assert turns(quiet_service, transport, datetime.now(UTC) + timedelta(days=7)) == 2
    told = {json.loads(request.content)["type"]: json.loads(request.content)["data"] for request in seen}
    assert told["model.promoted"] == {"model": "reason-codes/8", "before": "reason-codes/7"}
    assert told["follow_up.overdue"]["follow_up_id"] == R1


def test_subscriptions_are_checked_and_dropped(shared):
    for body in (
        {"url": "https://127.0.0.1/x", "events": ["response.tagged"]},
        {"url": "http://example.com/", "events": ["response.tagged"]},
        {"url": "https://example.com/", "events": ["response.gone"]},
        {"url": "https://example.com/", "events": []},
    ):
        problem(shared.post("/v1/webhook-subscriptions", json=body), 422)
    made = subscribe(shared, "model.promoted").json()
    path = f"/v1/webhook-subscriptions/{made['subscription_id']}"
    assert shared.delete(path).status_code == 200
    problem(shared.delete(path), 404)


def test_the_services_own_worker_delivers_and_stops(tmp_path):
    with served(tmp_path) as client:
        worker = client.app.state.webhook_worker
        assert worker.is_alive()
    assert not worker.is_alive()


def test_a_worker_outlives_a_store_that_fails(tmp_path, monkeypatch, caplog):
    with served(tmp_path) as client:
        worker = client.app.state.webhook_worker
        worker.stop()
        failing = WebhookWorker(client.app.state.loop, Courier())

        def turn():
            failing._ended.set()
            raise RuntimeError("secret comment")

        monkeypatch.setattr(failing, "turn", turn)
        failing.run()
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text


def test_the_command_lists_verifies_and_reports(tmp_path, whyscore):
    with served(tmp_path / "home") as client:
        send(client, 2, 9)
    code, out, _ = whyscore("follow-ups", "list", "--kind", "contact", "--json")
    assert (code, [one["response_id"] for one in json.loads(out)]) == (0, ["r1"])
    code, out, _ = whyscore("follow-ups", "list")
    assert code == 0
    assert "manager" in out
    code, out, err = whyscore("follow-ups", "verify")
    assert (code, "2 rows" in out + err) == (0, True)
    code, out, _ = whyscore("follow-ups", "report", "--json")
    assert (code, json.loads(out)["followed"]["n"]) == (0, 0)
    with Store.open(f"sqlite:///{tmp_path}/home/store.sqlite") as store, store.writing() as connection:
        connection.exec_driver_sql("DROP TRIGGER follow_up_events_no_update")
        connection.exec_driver_sql("UPDATE follow_up_events SET actor = 'eve' WHERE number = 1")
    code, out, err = whyscore("follow-ups", "verify")
    assert (code, "row 1 is not as it was written" in err) == (1, True)

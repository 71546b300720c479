import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, update

from data.api_keys import ApiKeys
from data.kept_answers import WORK_SECONDS, KeptAnswers
from data.service_schema import kept_answers
from data.store import StoreError
from tests.http_client import SECRET, problem, served, store_of
from tests.stubs import StubTagger

BODY = {"responses": [{"response_id": "r1", "score": 3, "comment": "Billed"}]}


def post(client, key="k1", body=BODY, path="/v1/responses", **headers):
    return client.post(path, json=body, headers={"Idempotency-Key": key, **headers})


def test_the_same_again_is_answered_as_before_and_not_done(client):
    first = post(client)
    assert first.json()["created"] == 1
    assert "idempotency-replayed" not in first.headers
    client.delete("/v1/responses/r1")
    again = post(client)
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["content-type"] == "application/json"
    assert store_of(client).count() == 0
    assert post(client, "k2").json()["created"] == 1


def test_a_key_is_of_one_request_and_one_client(client):
    post(client)
    other = {"responses": [{"response_id": "r2"}]}
    assert problem(post(client, body=other), 422)["type"].endswith("idempotency-key-in-use")
    problem(post(client, path="/v1/annotations", body={"annotations": []}), 422)
    assert post(client, body=other, **{"X-API-Key": "another"}).json()["created"] == 1


def test_the_key_of_the_api_counts_however_it_is_shown(client):
    key, text = ApiKeys(store_of(client).engine).create("crm", ["write", "admin"])
    _, others = ApiKeys(store_of(client).engine).create("shop", ["write"])
    client.app.state.gate.watch.read()
    assert post(client, **{"X-API-Key": text}).json()["created"] == 1
    assert "idempotency-replayed" in post(client, **{"Authorization": f"Bearer {text}"}).headers
    assert "idempotency-replayed" not in post(client, **{"X-API-Key": others}).headers
    assert post(client).status_code == 401


def test_the_sessions_of_two_browsers_have_keys_of_their_own(client):
    own = {"Origin": "http://localhost"}
    for name in ("ana", "ben"):
        _, text = ApiKeys(store_of(client).engine).create(name, ["write"])
        client.app.state.gate.watch.read()
        assert client.post("/v1/session", json={"key": text}, headers=own).status_code < 300
        answer = post(client, **own)
        assert answer.status_code == 200
        assert "idempotency-replayed" not in answer.headers
    assert "idempotency-replayed" in post(client, **own).headers


def test_what_is_done_with_a_follow_up_is_done_once(client):
    post(client, body={"responses": [BODY["responses"][0] | {"responded_at": datetime.now(UTC).isoformat()}]})
    (found,) = client.get("/v1/follow-ups").json()["follow_ups"]
    path, by = f"/v1/follow-ups/{found['follow_up_id']}", {"actor": "ana"}
    for name, body in [
        ("notes", {"text": "Called", **by}),
        ("assignment", {"owner": "ben", **by}),
        ("transitions", {"state": "resolved", "outcome": "recovered", **by}),
    ]:
        first, again = (post(client, name, body, f"{path}/{name}") for _ in range(2))
        assert (first.status_code, again.json()) == (200, first.json())
        assert again.headers["idempotency-replayed"] == "true"
    done = [one["action"] for one in client.get(path).json()["history"]]
    assert done == ["opened", "noted", "assigned", "resolved"]


def test_a_redelivery_is_asked_for_once_and_a_secret_is_never_kept(client):
    asked = {"url": "https://example.com/in", "events": ["response.tagged"]}
    made = [post(client, "k0", asked, "/v1/webhook-subscriptions") for _ in range(2)]
    assert made[0].json()["secret"] != made[1].json()["secret"]
    client.app.state.webhook_worker.stop()
    post(client)
    one = client.get("/v1/webhook-deliveries").json()["deliveries"][0]["delivery_id"]
    first, again = (post(client, "k2", {}, f"/v1/webhook-deliveries/{one}/redelivery") for _ in range(2))
    assert (first.status_code, again.json()) == (200, first.json())
    assert again.headers["idempotency-replayed"] == "true"


def test_the_document_says_which_operations_take_a_key(client):
    paths = client.get("/openapi.json").json()["paths"]
    keyed = {
        operation["operationId"]
        for methods in paths.values()
        for operation in methods.values()
        if any(one["name"] == "Idempotency-Key" for one in operation.get("parameters", []))
    }
    assert keyed == {
        "upsertResponses",
        "createJob",
        "keepAnnotations",
        "promoteModel",
        "rollBackModel",
        "moveFollowUp",
        "assignFollowUp",
        "noteFollowUp",
        "redeliverWebhook",
    }


def test_a_refusal_is_kept_too(client):
    bad = {"responses": [{"response_id": "r1", "comment": 5}]}
    first = problem(post(client, body=bad), 422)
    again = post(client, body=bad)
    assert problem(again, 422) == first
    assert again.headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize("key", ["", "a b", "ä", "x" * 256])
def test_a_key_that_is_none_is_refused(client, key):
    problem(client.post("/v1/responses", json=BODY, headers={"Idempotency-Key": key.encode("latin-1")}), 422)


def test_what_went_wrong_on_this_side_is_tried_again(tmp_path):
    class Failing(StubTagger):
        broken = True

        def tag(self, responses):
            if self.broken:
                raise RuntimeError(SECRET)
            return super().tag(responses)

    tagger = Failing()
    with served(tmp_path, tagger) as client:
        problem(post(client), 500)
        tagger.broken = False
        assert post(client).json()["created"] == 1


def test_the_same_at_once_is_told_to_wait(tmp_path):
    begun, go_on = threading.Event(), threading.Event()

    class Slow(StubTagger):
        def tag(self, responses):
            begun.set()
            assert go_on.wait(60)
            return super().tag(responses)

    with served(tmp_path, Slow()) as client, ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, client)
        assert begun.wait(60)
        waiting = problem(post(client), 409)
        go_on.set()
        assert waiting["type"].endswith("request-in-progress")
        assert first.result().json()["created"] == 1
        assert post(client).json() == first.result().json()


def test_answers_are_forgotten_after_a_day(client):
    post(client)
    with store_of(client).writing() as connection:
        connection.execute(update(kept_answers).values(expires_at=datetime.now(UTC) - timedelta(1)))
    assert post(client).json()["unchanged"] == 1


def test_a_body_beyond_the_limit_is_refused_with_a_key_as_without(client):
    def parts():
        for _ in range(40):
            yield b" " * 2**16

    headers = {"Idempotency-Key": "k", "content-type": "application/json"}
    problem(client.post("/v1/responses", content=parts(), headers=headers), 413)


def test_tags_are_never_kept(client):
    item = {"responses": [{"comment": SECRET}]}
    post(client, path="/v1/tag", body=item)
    assert "idempotency-replayed" not in post(client, path="/v1/tag", body=item).headers


def test_a_store_that_is_gone_is_a_problem(client):
    with store_of(client).writing() as connection:
        connection.exec_driver_sql("DROP TABLE kept_answers")
    problem(post(client), 503)


def test_an_answer_that_cannot_be_kept_is_given_all_the_same(client, monkeypatch):
    def gone(*_):
        raise StoreError("gone")

    monkeypatch.setattr(KeptAnswers, "finish", gone)
    assert post(client).json()["created"] == 1
    assert problem(post(client), 409)["type"].endswith("request-in-progress")


def test_a_claimed_key_is_busy_until_it_is_let_go(shared_store):
    answers = KeptAnswers(shared_store)
    assert answers.begin("k", "f") == "new"
    assert answers.begin("k", "f") == "busy"
    assert answers.begin("k", "g") == "other"
    answers.finish("k", None)
    assert answers.begin("k", "g") == "new"


def test_the_key_of_a_crashed_request_is_free_within_a_minute(client):
    answers = KeptAnswers(store_of(client))
    with store_of(client).reading() as connection:
        assert connection.scalar(select(func.count()).select_from(kept_answers)) == 0
    answers.begin("k", "f")  # and the process is killed
    with store_of(client).reading() as connection:
        until = connection.scalar(select(kept_answers.c.expires_at))
    assert until <= datetime.now(UTC) + timedelta(seconds=WORK_SECONDS)
    with store_of(client).writing() as connection:
        connection.execute(update(kept_answers).values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    assert answers.begin("k", "f") == "new"


def test_a_request_that_takes_long_keeps_its_key(tmp_path, monkeypatch):
    monkeypatch.setattr("serving.idempotency.WORK_SECONDS", 0.04)
    renewed, go_on = threading.Event(), threading.Event()
    renew = KeptAnswers.renew

    def noted(answers, key_hash):
        renew(answers, key_hash)
        renewed.set()

    class Slow(StubTagger):
        def tag(self, responses):
            assert go_on.wait(60)
            return super().tag(responses)

    monkeypatch.setattr(KeptAnswers, "renew", noted)
    with served(tmp_path, Slow()) as client, ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, client)
        assert renewed.wait(60)
        busy = post(client)
        go_on.set()
        assert (busy.status_code, busy.headers["retry-after"]) == (409, "5")
        assert first.result().json()["created"] == 1
        kept = post(client)
    assert kept.headers["idempotency-replayed"] == "true"

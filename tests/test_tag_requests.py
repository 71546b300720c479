"""Requests for tags over HTTP: read together, refused with the time to come back, and never left hanging."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from data.responses import Response
from serving.admission import OverloadedError
from serving.micro_batches import LateError
from tests.http_client import SECRET, figure, post_json, problem, served
from tests.stubs import StubTagger


class CountingTagger(StubTagger):
    """A stub that holds its first batch until told otherwise, and counts its batches."""

    def __init__(self):
        super().__init__()
        self.go, self.begun = threading.Event(), threading.Event()
        self.batches = self.taken = 0

    def tag(self, responses):
        self.batches += 1
        self.taken += len(responses)
        self.begun.set()
        assert self.go.wait(30)
        return super().tag(responses)


def test_requests_at_the_same_time_are_answered_each_with_its_own(tmp_path):
    tagger = CountingTagger()
    texts = [f"Billed twice, case {i}" for i in range(30)]
    with served(tmp_path, tagger) as client, ThreadPoolExecutor(30) as threads:
        sent = [
            threads.submit(client.post, "/v1/tag", json={"responses": [{"comment": text}]}) for text in texts
        ]
        assert tagger.begun.wait(30)
        load = client.app.state.micro_batches
        while load.load.comments + tagger.taken < 30:  # until each is read or waits to be
            threading.Event().wait(0.001)
        assert client.get("/healthz").status_code == 200  # the loop is free
        tagger.go.set()
        for text, answer in zip(texts, sent, strict=True):
            (row,) = answer.result(60).json()["responses"]
            assert row["comment"] == text
    assert tagger.batches < 30


@pytest.mark.parametrize(
    ("error", "status", "after"), [(OverloadedError(7), 429, "7"), (LateError("too slow"), 503, "5")]
)
def test_what_is_too_much_or_too_late_is_a_problem_that_says_when_to_come_back(
    client, monkeypatch, error, status, after
):
    async def refuse(*_):
        raise error

    monkeypatch.setattr(client.app.state.micro_batches, "tag", refuse)
    answer = client.post("/v1/tag", json={"responses": [{"comment": SECRET}]})
    found = problem(answer, status)
    assert answer.headers["retry-after"] == after
    assert found["title"] in ("Too many requests", "Answer too late")


def test_while_the_queue_is_full_nothing_of_a_request_is_read(tmp_path):
    tagger = CountingTagger()
    with served(tmp_path, tagger, queue_tokens=1024) as client, ThreadPoolExecutor(3) as threads:
        sent = []
        for number in range(3):  # two are read, and the third fills the queue
            items = [{"comment": f"{SECRET} {number} {item} " + "w" * 400} for item in range(50)]
            sent.append(threads.submit(client.post, "/v1/tag", json={"responses": items}))
        load = client.app.state.micro_batches
        while load.load.tokens < 1024:
            threading.Event().wait(0.001)
        refused = re.escape('whyscore_refused_requests_total{reason="queue_full"}')
        before = figure(client, refused)
        # Bytes that are no JSON: whoever had read them would have said so.
        answer = client.post("/v1/tag", content=b"{", headers={"content-type": "application/json"})
        found = problem(answer, 429)
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert found["request_id"] == answer.headers["x-request-id"]
        assert answer.headers["cache-control"] == "no-store"
        assert figure(client, refused) == before + 1
        assert 'method="POST",route="/v1/tag",status="429"' in client.get("/metrics").text
        own = {"content-type": "application/json", "x-request-id": "abc-1"}
        answer = client.post("/v1/tag", content=b"{", headers=own)
        assert problem(answer, 429)["request_id"] == answer.headers["x-request-id"] == "abc-1"
        assert client.get("/v1/nps").status_code == 200
        tagger.go.set()
        assert all(answer.result(60).status_code in (200, 429) for answer in sent)
        assert client.post("/v1/tag", json={"responses": [{"comment": "Billed"}]}).status_code == 200


def test_it_is_up_while_every_thread_is_busy_storing(tmp_path):
    tagger = CountingTagger()
    with served(tmp_path, tagger) as client, ThreadPoolExecutor(60) as threads:
        rows = [{"responses": [{"response_id": f"r{i}", "comment": "Billed"}]} for i in range(60)]
        sent = [threads.submit(client.post, "/v1/responses", json=row) for row in rows]
        assert tagger.begun.wait(30)
        while tagger.batches < 40:  # as many threads as there are for requests
            threading.Event().wait(0.001)
        assert ThreadPoolExecutor(1).submit(client.get, "/healthz").result(10).status_code == 200
        tagger.go.set()
        assert {answer.result(60).status_code for answer in sent} == {200}


def test_a_page_of_another_origin_sees_that_it_was_refused(tmp_path):
    origin = "https://desk.example"
    with served(tmp_path, StubTagger(), cors_origins=origin) as client:
        room = client.app.state.micro_batches
        room.refusal = lambda fresh=1: OverloadedError(3)
        answer = client.post("/v1/tag", json={"responses": [{"comment": SECRET}]}, headers={"origin": origin})
        problem(answer, 429)
        assert answer.headers["access-control-allow-origin"] == origin
        assert answer.headers["retry-after"] == "3"


def test_a_large_body_is_read_as_a_small_one_is(shared):
    items = [{"comment": f"Billed twice, number {i}", "region": "North"} for i in range(900)]
    large = shared.post("/v1/tag", json={"responses": items}).json()["responses"]
    for i in (0, 450, 899):
        (small,) = shared.post("/v1/tag", json={"responses": [items[i]]}).json()["responses"]
        assert large[i] == small
    assert Response("x", None, large[7]["comment"]).comment == items[7]["comment"]


def test_without_a_model_the_answer_says_so(tmp_path):
    from fastapi.testclient import TestClient

    from data.settings import Settings
    from serving.api import create_app

    app = create_app(Settings(home=tmp_path))
    with TestClient(app, base_url="http://localhost") as client:
        problem(client.post("/v1/tag", json={"responses": [{"comment": "Billed"}]}), 503)
        problem(post_json(client, "/v1/tag", b"{"), 422)
        problem(client.post("/v1/tag", content=b"{}", headers={"content-type": "text/plain"}), 415)

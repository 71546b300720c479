"""Masking on every way into the store, and back for those who ask for tags alone."""

import json
import time

import pytest

from data.settings import Settings
from data.store import Store
from serving.batch import ReadOptions, tag_file
from serving.ingest import ingest
from tests.http_client import problem, served, store_of
from tests.stubs import StubTagger, response, tagged

CARD, MAIL = "4111 1111 1111 1111", "jo@x.org"
COMMENT = f"Billed {CARD} twice, the agent at {MAIL} was lovely"
ITEM = {"response_id": "r1", "score": 3, "comment": COMMENT, "contact": MAIL}


def stored(client):
    (row,) = store_of(client).tagged()
    for tag in row.tags:
        for evidence in tag.evidence:
            assert row.response.comment[evidence.start : evidence.end] == evidence.text
    return row.response


def test_a_request_may_ask_for_masking(client):
    body = {"responses": [ITEM], "mask": ["card"]}
    assert client.post("/v1/responses", json=body).json()["tagged"] == 1
    assert stored(client).comment == f"Billed [card] twice, the agent at {MAIL} was lovely"
    assert client.post("/v1/responses", json=body).json()["reused"] == 1
    client.post("/v1/responses", params={"mask": "email"}, json=body)
    assert stored(client).comment == "Billed [card] twice, the agent at [email] was lovely"
    assert stored(client).segments == {"contact": "[email]"}


def test_a_file_may_be_masked_too(client):
    answer = client.post(
        "/v1/responses",
        params={"mask": ["card", "email"]},
        content=f"response_id,score,comment\nr1,3,Billed {CARD}\n",
        headers={"content-type": "text/csv"},
    )
    assert answer.status_code == 200
    assert stored(client).comment == "Billed [card]"


@pytest.mark.parametrize("kind", ["names", "phone:XX", "phone:gb", ""])
def test_an_unknown_kind_is_refused(shared, kind):
    problem(shared.post("/v1/tag", json={"responses": [], "mask": [kind]}), 422)
    problem(shared.post("/v1/responses", params={"mask": kind}, json={"responses": []}), 422)


def test_what_the_server_masks_no_request_lifts(tmp_path):
    with served(tmp_path, mask="card,email") as client:
        client.post("/v1/responses", json={"responses": [ITEM]})
        assert CARD not in str(stored(client))
        assert client.post("/v1/responses", json={"responses": [ITEM]}).json()["reused"] == 1
        assert client.post("/v1/responses", json={"responses": [ITEM]}).json()["unchanged"] == 1


def test_the_store_masks_whichever_way_a_row_came(tmp_path):
    with Store.open(f"sqlite:///{tmp_path / 's.sqlite'}", mask=("card", "email")) as store:
        store.upsert([tagged("r1", 3, COMMENT)])
        (row,) = store.tagged()
        assert row.response.comment == "Billed [card] twice, the agent at [email] was lovely"
        assert [e.text for tag in row.tags for e in tag.evidence] == [
            "Billed [card] twice", "agent at [email]",
        ]  # fmt: skip
        counts = ingest([response("r1", 3, COMMENT)], StubTagger(), store)
        assert (counts.reused, counts.unchanged) == (1, 1)


class Curious(StubTagger):
    """Remembers the comments that it was given."""

    seen: list = []

    def tag(self, responses):
        self.seen += [one.comment for one in responses]
        return super().tag(responses)


def test_tags_alone_come_back_in_places_of_the_original(tmp_path):
    tagger = Curious()
    with served(tmp_path, tagger) as client:
        body = {"responses": [ITEM], "mask": ["card", "email"]}
        (row,) = client.post("/v1/tag", json=body).json()["responses"]
    assert row["comment"] == COMMENT
    found = [evidence for tag in row["tags"] for evidence in tag["evidence"]]
    assert [e["text"] for e in found] == [f"Billed {CARD} twice", f"agent at {MAIL} was lovely"]
    assert all(COMMENT[e["start"] : e["end"]] == e["text"] for e in found)
    assert tagger.seen == ["Billed [card] twice, the agent at [email] was lovely"]


def test_a_stream_comes_back_in_places_of_the_original(tmp_path):
    lines = {"content-type": "application/x-ndjson"}
    tagger = Curious()
    tagger.seen = []
    with served(tmp_path, tagger, mask="card") as client:
        answer = client.post(
            "/v1/tag/stream", params={"mask": "email"}, content=json.dumps(ITEM), headers=lines
        )
        problem(client.post("/v1/tag/stream?mask=name", content="{}", headers=lines), 422)
    row = json.loads(answer.text)
    assert row["comment"] == COMMENT
    assert tagger.seen == ["Billed [card] twice, the agent at [email] was lovely"]


def test_one_response_that_is_put_or_changed_is_masked(tmp_path):
    tagger = Curious()
    tagger.seen = []
    with served(tmp_path, tagger, mask="card,email") as client:
        client.put("/v1/responses/r1", json=ITEM)
        answer = client.put("/v1/responses/r1", json=ITEM | {"score": 4})
        assert answer.json()["comment"] == "Billed [card] twice, the agent at [email] was lovely"
        assert client.patch("/v1/responses/r1", json={"comment": f"Billed {CARD}"}).status_code == 200
        assert stored(client).comment == "Billed [card]"
    assert tagger.seen == ["Billed [card] twice, the agent at [email] was lovely", "Billed [card]"]


def test_annotations_are_masked_with_the_words_they_name(tmp_path):
    label = {"code": "billing.unexpected-charge", "polarity": "negative", "evidence": f"Billed {CARD} twice"}
    item = {"response_id": "r1", "comment": COMMENT, "taxonomy_version": 3, "codes": [label]}
    with served(tmp_path, mask="card,email") as client:
        for _ in range(2):
            kept = client.post("/v1/annotations", json={"annotations": [item]})
        assert kept.json()["unchanged"] == 1
        (row,) = client.get("/v1/annotations").json()["annotations"]
    assert row["comment"] == "Billed [card] twice, the agent at [email] was lovely"
    assert row["codes"][0]["evidence"] == "Billed [card] twice"


def test_a_job_may_ask_for_masking(tmp_path):
    with served(tmp_path) as client:
        answer = client.post(
            "/v1/jobs",
            params={"mask": ["card", "phone:GB"]},
            content=f"response_id,score,comment\nr1,3,Billed {CARD}\n",
            headers={"content-type": "text/csv"},
        )
        worker = client.app.state.worker
        for _ in range(600):
            if worker.board.get(answer.json()["job_id"]).state == "done":
                break
            time.sleep(0.05)
        assert stored(client).comment == "Billed [card]"
        problem(client.post("/v1/jobs?mask=x", content="", headers={"content-type": "text/csv"}), 422)


def test_a_file_is_tagged_masked(tmp_path, write):
    source, output = write("a.csv", f"comment,score\nBilled {CARD},3\n"), tmp_path / "t.jsonl"
    tag_file(source, output, StubTagger(), ReadOptions(mask=("card",)))
    text = output.read_text(encoding="utf-8")
    assert "Billed [card]" in text
    assert CARD not in text


def test_the_setting_is_a_list(monkeypatch):
    monkeypatch.setenv("WHYSCORE_MASK", "card, phone:gb,card")
    assert Settings().mask_kinds == ("card", "phone:GB")

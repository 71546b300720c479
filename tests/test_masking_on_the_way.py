"""Masking on every way into the store, and back for those who ask for tags alone."""

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


def test_a_file_is_tagged_masked(tmp_path, write):
    source, output = write("a.csv", f"comment,score\nBilled {CARD},3\n"), tmp_path / "t.jsonl"
    tag_file(source, output, StubTagger(), ReadOptions(mask=("card",)))
    text = output.read_text(encoding="utf-8")
    assert "Billed [card]" in text
    assert CARD not in text


def test_the_setting_is_a_list(monkeypatch):
    monkeypatch.setenv("WHYSCORE_MASK", "card, phone:gb,card")
    assert Settings().mask_kinds == ("card", "phone:GB")

"""Masking on every way into the store, and back for those who ask for tags alone."""

import json
import time

import pytest

from data.settings import Settings
from data.store import Store
from data.tags import read_tags
from serving.batch import ReadOptions, tag_file
from serving.connectors.signatures import BodyHmac
from serving.ingest import ingest
from tests.http_client import problem, served, store_of
from tests.stubs import StubTagger, response, tagged

CARD, MAIL = "4111 1111 1111 1111", "jo@x.org"
COMMENT = f"Billed {CARD} twice, the agent at {MAIL} was lovely"
ITEM = {"response_id": "r1", "score": 3, "comment": COMMENT, "contact": MAIL}
NDJSON = {"content-type": "application/x-ndjson"}
CSV = {"content-type": "text/csv"}


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
        headers=CSV,
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
    tagger = Curious()
    tagger.seen = []
    with served(tmp_path, tagger, mask="card") as client:
        answer = client.post(
            "/v1/tag/stream", params={"mask": "email"}, content=json.dumps(ITEM), headers=NDJSON
        )
        problem(client.post("/v1/tag/stream?mask=name", content="{}", headers=NDJSON), 422)
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
            headers=CSV,
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


def test_evidence_is_of_the_masked_comment_whichever_way_it_came(tmp_path, monkeypatch):
    monkeypatch.setenv("DESK_SECRET", "0123456789")
    (tmp_path / "c.yaml").write_text(
        "connectors: {desk: {kind: generic, secret_env: DESK_SECRET, signature: {scheme: token, header: T}, "
        "fields: {response_id: id, comment: text}}}"
    )
    file = f'response_id,comment\nX,"{COMMENT}"\n'
    with served(tmp_path / "home", mask="card,email", connectors=tmp_path / "c.yaml") as client:
        event = {"id": "w", "text": COMMENT}
        assert client.post("/v1/webhooks/desk", json=event, headers={"T": "0123456789"}).status_code == 200
        client.post("/v1/responses", content=file.replace("X", "f"), headers=CSV)
        client.post(
            "/v1/responses", content=json.dumps({"response_id": "n", "comment": COMMENT}), headers=NDJSON
        )
        client.post("/v1/responses", json={"responses": [{"response_id": "j", "comment": COMMENT}]})
        client.post("/v1/jobs", content=file.replace("X", "k"), headers=CSV)
        for _ in range(600):
            if client.app.state.worker.board.page(1)[0][0].state == "done":
                break
            time.sleep(0.05)
        rows = list(store_of(client).tagged())
    source, output = tmp_path / "a.csv", tmp_path / "t.jsonl"
    source.write_text(file.replace("X", "t"))
    tag_file(source, output, StubTagger(), ReadOptions(mask=("card", "email")))
    rows += list(read_tags(output))
    assert {row.response.response_id for row in rows} == {"desk:w", "f", "n", "j", "k", "t"}
    for row in rows:
        assert row.response.comment == "Billed [card] twice, the agent at [email] was lovely"
        found = [one for tag in row.tags for one in tag.evidence]
        assert [one.text for one in found] == ["Billed [card] twice", "agent at [email] was lovely"]
        assert all(row.response.comment[one.start : one.end] == one.text for one in found)


# Who answered.


def people(client):
    return {row.response.response_id: row.response.respondent_id for row in store_of(client).tagged()}


def test_respondents_get_one_pseudonym_whichever_way_they_come(tmp_path, monkeypatch):
    monkeypatch.setenv("TYPEFORM_SECRET", "0123456789")
    (tmp_path / "c.yaml").write_text(
        "connectors: {typeform: {secret_env: TYPEFORM_SECRET, score: q, respondent: mail}}"
    )
    answer = {"type": "number", "number": 3, "field": {"id": "q"}}
    event = {
        "event_type": "form_response",
        "form_response": {"token": "t", "hidden": {"mail": MAIL}, "answers": [answer]},
    }
    with served(tmp_path / "home", mask="email", connectors=tmp_path / "c.yaml") as client:
        person = {"respondent_id": MAIL, "score": 3}
        client.post("/v1/responses", json={"responses": [person | {"response_id": "r1"}]})
        line = json.dumps(person | {"response_id": "r2", "comment": "x"})
        client.post("/v1/responses", content=line, headers=NDJSON)
        client.post("/v1/responses", content=f"response_id,comment,respondent_id\nr3,x,{MAIL}", headers=CSV)
        client.put("/v1/responses/r4", json={"respondent_id": MAIL.upper(), "score": 3})
        client.patch("/v1/responses/r4", json={"score": 4})
        client.post("/v1/jobs", content=f"response_id,comment,respondent_id\nr5,x,{MAIL}", headers=CSV)
        done = client.app.state.worker
        for _ in range(600):
            if all(job.state == "done" for job in done.board.page(9)[0]):
                break
            time.sleep(0.05)
        body = json.dumps(event).encode()
        sign = BodyHmac("typeform-signature", encoding="base64", prefix="sha256=").sign(body, b"0123456789")
        headers = {"content-type": "application/json", "typeform-signature": sign}
        assert client.post("/v1/webhooks/typeform", content=body, headers=headers).json()["created"] == 1
        client.post(
            "/v1/responses",
            json={"responses": [{"response_id": "b1", "respondent_id": "ben", "score": 3}]},
        )
        found = people(client)
        assert found.pop("b1") == "ben"
        assert set(found) == {"r1", "r2", "r3", "r4", "r5", "typeform:t"}
        (name,) = set(found.values())
        assert name.startswith("person-")
        assert not any(char.isdigit() for char in name)
        assert MAIL not in client.get("/v1/responses").text
        for file in (tmp_path / "home").rglob("*"):
            assert not file.is_file() or MAIL.encode() not in file.read_bytes(), file


def test_whoever_is_masked_is_erased_by_the_own_id(tmp_path):
    items = [{"response_id": f"r{i}", "score": 3, "respondent_id": MAIL} for i in range(3)]
    with served(tmp_path) as client:  # before anybody thought of masking
        client.post("/v1/responses", json={"responses": items[:1]})
    with served(tmp_path, mask="email") as client:
        client.post("/v1/responses", json={"responses": items[1:2]})
        assert len(set(people(client).values())) == 2
        assert client.delete(f"/v1/respondents/{MAIL}").json()["responses"] == 2
        assert client.post("/v1/responses", json={"responses": items}).json()["erased"] == 3
    with served(tmp_path) as client:  # and after it was given up
        assert client.post("/v1/responses", json={"responses": items}).json()["erased"] == 3
        assert people(client) == {}


def test_followed_up_customers_are_paired_under_their_pseudonym(tmp_path):
    with served(tmp_path, mask="email") as client:
        for number, score in enumerate((2, 9)):
            item = {"response_id": f"r{number}", "score": score, "respondent_id": MAIL}
            item["responded_at"] = f"2026-04-0{number + 1}"
            client.post("/v1/responses", json={"responses": [item]})
        assert client.get("/v1/follow-up-report").json()["not_followed"]["n"] == 1


def test_tags_alone_come_back_with_the_respondent(tmp_path):
    with served(tmp_path, mask="email") as client:
        body = {"responses": [{"comment": "Billed", "respondent_id": MAIL}]}
        assert client.post("/v1/tag", json=body).json()["responses"][0]["respondent_id"] == MAIL


def test_a_file_is_tagged_with_the_pseudonyms_of_the_store(whyscore, tmp_path, write, monkeypatch):
    with served(tmp_path / "home", mask="email") as client:
        item = {"response_id": "r1", "score": 3, "respondent_id": MAIL}
        client.post("/v1/responses", json={"responses": [item]})
        (name,) = people(client).values()
    source, output = write("a.csv", f"comment,respondent_id\nBilled,{MAIL}\n"), tmp_path / "t.jsonl"
    monkeypatch.setattr("serving.tagging.load_tagger", lambda *_: StubTagger())
    code, _, err = whyscore("tag", str(source), "-o", str(output), "--mask", "email")
    assert code == 0, err
    assert json.loads(output.read_text())["respondent_id"] == name


def test_a_lost_key_gives_nobody_a_second_pseudonym(tmp_path):
    with served(tmp_path, mask="email") as client:
        client.put("/v1/responses/r1", json={"respondent_id": MAIL, "score": 3})
    (tmp_path / "erasure.key").unlink()
    with served(tmp_path, mask="email") as client:
        body = problem(client.put("/v1/responses/r2", json={"respondent_id": MAIL, "score": 3}), 503)
        assert "erasure.key" in body["detail"]
        assert not (tmp_path / "erasure.key").exists()

import gzip
import json
import sqlite3
import time
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from data.annotations import Annotation, comment_id
from data.audits import (
    Audit,
    AuditDesign,
    AuditedResponse,
    AuditLog,
    DrawnItem,
    read_audit,
    read_log,
    write_audit,
    write_log,
)
from data.erasure import erase_respondent
from data.errors import InputError, NotFoundError
from data.store import Store, StoreError
from data.text import text_hash
from tests.http_client import SECRET, served, store_of
from tests.stubs import tagged

DESIGN = AuditDesign(
    id="0123456789ab",
    model="stub/1",
    taxonomy_version=3,
    drawn_at=datetime(2026, 5, 1, tzinfo=UTC),
    stratify="status",
    seed=0,
    drawn=5,
    frame_size=9,
    frame_digest="0" * 32,
)


@pytest.fixture
def store(url, tmp_path):
    with Store.open(url, erasure_key=tmp_path / "home" / "erasure.key") as store:
        store.upsert(
            [
                tagged("r1", comment=SECRET, respondent_id="ana"),
                tagged("r2", comment="Billed", respondent_id="ana"),
                tagged("r3", comment="Billed", respondent_id="ben"),
            ]
        )
        yield store


def test_what_was_written_in_follow_ups_goes_too(tmp_path):
    with served(tmp_path) as client:
        item = {"response_id": "r1", "score": 2, "comment": "Billed", "respondent_id": "ana"}
        item["responded_at"] = datetime.now(UTC).isoformat()
        client.post("/v1/responses", json={"responses": [item]})
        (contact,) = client.get("/v1/follow-ups").json()["follow_ups"]
        where = f"/v1/follow-ups/{contact['follow_up_id']}"
        client.post(f"{where}/notes", json={"text": SECRET, "actor": "ben"})
        assert SECRET in client.get(where).text
        assert client.delete("/v1/respondents/ana").json()["responses"] == 1
        assert SECRET not in client.get(where).text
        with store_of(client).reading() as connection:
            assert client.app.state.loop.follow_ups.trail.verify(connection).fault is None
        assert client.post("/v1/responses", json={"responses": [item]}).json()["erased"] == 1


def test_nothing_of_the_erased_is_left_in_any_table(tmp_path):
    key = {"idempotency-key": "k1"}
    item = {"response_id": "r1", "score": 2, "comment": f"Billed {SECRET}", "respondent_id": "ana.secret"}
    item |= {"responded_at": datetime.now(UTC).isoformat(), "region": "secret-north"}
    with served(tmp_path, webhook_allow_private=True) as client:
        hook = {"url": "http://127.0.0.1:9/in", "events": ["response.tagged", "follow_up.opened"]}
        assert client.post("/v1/webhook-subscriptions", json=hook).status_code == 200
        client.post("/v1/responses", json={"responses": [item]}, headers=key)
        other = item | {"response_id": "r2", "respondent_id": "ben", "comment": "Billed", "region": "South"}
        client.post("/v1/responses", json={"responses": [other]})
        label = {"response_id": "r1", "comment": item["comment"], "codes": []}
        client.post("/v1/annotations", json={"annotations": [label]}, headers={"idempotency-key": "k2"})
        about = {one["response_id"]: one for one in client.get("/v1/follow-ups").json()["follow_ups"]}
        client.post(
            f"/v1/follow-ups/{about['r1']['follow_up_id']}/notes", json={"text": SECRET, "actor": "b"}
        )
        assert "secret" in everything(client)
        file = f"response_id,score,comment,respondent_id\nr1,2,Billed {SECRET},ana.secret\nr3,2,Billed,ben\n"
        client.delete("/v1/respondents/ana.secret")
        sent = client.post(
            "/v1/jobs", content=file, headers={"content-type": "text/csv", "idempotency-key": "k3"}
        )
        assert ended(client, sent.json()["job_id"])["counts"]["erased"] == 1
        assert "secret" not in everything(client)
        assert b"secret" not in b"".join(f.read_bytes() for f in (tmp_path / "jobs").iterdir())
        told = {json.loads(row)["data"]["response_id"] for row in messages(client)}
        assert told == {"r2", "r3"}
        left = {one["response_id"]: one for one in client.get("/v1/follow-ups").json()["follow_ups"]}
        assert (left["r1"]["state"], left["r1"]["outcome"]) == ("closed", "no_action")
        assert left["r2"]["state"] == "open"
        history = client.get(f"/v1/follow-ups/{left['r1']['follow_up_id']}").json()["history"]
        assert [one["action"] for one in history] == ["opened", "noted", "response deleted"]
        with store_of(client).reading() as connection:
            assert client.app.state.loop.follow_ups.trail.verify(connection).fault is None
        again = client.post("/v1/responses", json={"responses": [item]}, headers=key)
        assert again.headers["idempotency-replayed"] == "true"  # and stores nothing
        assert "secret" not in everything(client) + again.text


def everything(client):
    with store_of(client).reading() as connection:
        tables = sa.inspect(connection).get_table_names()
        return str(
            [[tuple(row) for row in connection.execute(sa.text(f"SELECT * FROM {one}"))] for one in tables]
        )


def messages(client):
    with store_of(client).reading() as connection:
        return list(connection.scalars(sa.text("SELECT body FROM webhook_messages")))


def ended(client, job_id):
    for _ in range(600):
        job = client.get(f"/v1/jobs/{job_id}").json()
        if job["state"] in ("done", "failed"):
            return job
        time.sleep(0.05)
    raise AssertionError("the job did not end")


def line(name, comment="Billed"):
    return json.dumps({"response_id": name, "comment": comment, "codes": [], "extra": [1, "ü"]})


def test_files_lose_the_rows_of_the_erased_and_nothing_else(store, tmp_path):
    kept = [line("r3"), "", line("9", "The price"), '{"comment":  "fine", "codes": []}']
    gone = [line("r1", SECRET), line("r2"), json.dumps({"comment": SECRET, "codes": []})]
    text = "\n".join([kept[0], *gone, *kept[1:]])
    (tmp_path / "a.jsonl").write_text(text, encoding="utf-8")
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    untouched = tmp_path / "c.jsonl"
    untouched.write_text(kept[0])
    files = [tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz", untouched]
    counts = erase_respondent("ana", store, tmp_path / "home", files)
    assert (counts.responses, counts.file_rows) == (2, 6)
    expected = "\n".join([kept[0], *kept[2:]]) + "\n"
    assert (tmp_path / "a.jsonl").read_text(encoding="utf-8") == expected
    assert gzip.decompress((tmp_path / "b.jsonl.gz").read_bytes()).decode() == expected
    assert untouched.read_text() == kept[0]
    assert not list(tmp_path.glob(".*"))


def audited(name, item, stratum):
    return AuditedResponse(Annotation(name, "Billed", (), 3), item, 0.5, stratum)


def test_an_audit_counts_the_erased_as_not_labelled(store, tmp_path):
    home, path = tmp_path / "home", tmp_path / "audit.jsonl"
    rows = (audited("r1", 1, 1), audited("r3", 2, 1), audited("r4", 3, 1), audited("r5", 4, 2))
    write_audit(Audit(DESIGN, rows), path)
    items = tuple(
        DrawnItem(item=i, response_id=f"r{i}", inclusion_probability=0.5, stratum=1, text_hash=text_hash("x"))
        for i in range(1, 6)
    )
    write_log(AuditLog(design=DESIGN, items=items), home)
    counts = erase_respondent("ana", store, home, [path])
    assert (counts.file_rows, counts.audit_items) == (1, 2)
    left = read_audit(path)
    assert [row.annotation.response_id for row in left.rows] == ["r3", "r4", "r5"]
    assert [row.response_rate for row in left.rows] == pytest.approx([2 / 3, 2 / 3, 1])
    assert left.unlabelled == 2
    assert [item.response_id for item in read_log(DESIGN.id, home).items] == ["r3", "r4", "r5"]


def test_labelled_audits_of_the_home_folder_need_not_be_named(tmp_path):
    with served(tmp_path) as client:
        item = {"response_id": "r1", "score": 2, "comment": SECRET, "respondent_id": "ana"}
        client.post("/v1/responses", json={"responses": [item]})
        path = tmp_path / "audits" / f"{DESIGN.id}.jsonl"
        path.parent.mkdir()
        rows = (AuditedResponse(Annotation("r1", SECRET, (), 3), 1, 0.5, 1), audited("r4", 3, 1))
        write_audit(Audit(DESIGN, rows), path)
        assert client.delete("/v1/respondents/ana").json()["audit_items"] == 1
    assert SECRET not in path.read_text(encoding="utf-8")
    assert [row.annotation.response_id for row in read_audit(path).rows] == ["r4"]


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("none.jsonl", None, NotFoundError),
        ("a.csv", "response_id\nr1", InputError),
        ("a.jsonl", "{", InputError),
        ("a.jsonl", f'["{SECRET}"]', InputError),
    ],
)
def test_a_file_that_cannot_be_read_erases_nothing(store, tmp_path, name, content, error):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(error) as caught:
        erase_respondent("ana", store, tmp_path / "home", [tmp_path / name])
    assert "secret" not in str(caught.value)
    assert store.count() == 3
    assert store.upsert([tagged("r9", respondent_id="ana")]).erased == 0


def test_an_erasure_that_was_interrupted_is_finished_by_the_same_call(store, tmp_path, monkeypatch):
    path = tmp_path / "a.jsonl"
    path.write_text(line("r1", SECRET))
    with monkeypatch.context() as patch:
        patch.setattr("data.erasure.forget_respondent", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            erase_respondent("ana", store, tmp_path / "home", [path])
    assert store.upsert([tagged("r9", respondent_id="ana")]).erased == 1
    assert erase_respondent("ana", store, tmp_path / "home", [path]).responses == 2
    assert store.count() == 1


def test_what_is_erased_is_not_left_in_the_database_file(store, tmp_path):
    path = tmp_path / "home" / "store.sqlite"
    if not path.is_file():
        pytest.skip("PostgreSQL has no file of ours")
    store.close()
    assert SECRET.encode() in path.read_bytes()
    erase_respondent("ana", store, tmp_path / "home")
    store.close()
    assert SECRET.encode() not in b"".join(
        file.read_bytes() for file in path.parent.iterdir() if file.is_file()
    )


def test_it_is_overwritten_also_where_sqlite_only_unlinks_it(tmp_path, monkeypatch):
    own = sqlite3.connect

    def connect(*places, **named):
        connection = own(*places, **named)
        connection.execute("PRAGMA secure_delete = OFF")  # the default of most builds
        return connection

    monkeypatch.setattr(sqlite3, "connect", connect)
    home = tmp_path / "home"
    with served(home) as client:
        item = {"response_id": "r1", "comment": f"Billed {SECRET}", "respondent_id": "ana"}
        client.post("/v1/responses", json={"responses": [item]})
        label = {"response_id": "r1", "comment": item["comment"], "codes": []}
        assert client.post("/v1/annotations", json={"annotations": [label]}).status_code == 200
        client.patch("/v1/responses/r1", json={"comment": "Billed"})
        client.delete("/v1/respondents/ana")
    assert SECRET.encode() not in b"".join(f.read_bytes() for f in home.iterdir() if f.is_file())


def test_without_a_place_for_the_key_nobody_is_erased(store):
    other = Store(store._engine)
    with pytest.raises(StoreError, match="home folder"):
        erase_respondent("ana", other, store._engine.url.database)
    assert store.count() == 3


def test_a_comment_alone_names_an_annotation():
    assert comment_id("Billed") == comment_id("Billed") != comment_id("billed")


def test_the_command_erases_from_store_and_files(whyscore, tmp_path):
    with Store.open(f"sqlite:///{tmp_path / 'home' / 'store.sqlite'}") as store:
        store.upsert([tagged("r1", comment=SECRET, respondent_id="ana"), tagged("r2")])
    (tmp_path / "a.jsonl").write_text(line("r1", SECRET))
    code, out, err = whyscore("erase", "--respondent", "ana", "--audit", "a.jsonl", "--json")
    assert code == 0, err
    assert json.loads(out) == {
        "responses": 1,
        "tags": 0,
        "evidence": 0,
        "annotations": 0,
        "audit_items": 0,
        "file_rows": 1,
    }
    code, out, err = whyscore("erase", "--respondent", "ana")
    assert (code, out) == (0, "")
    assert "0 responses" in err
    code, _, err = whyscore("erase", "--respondent", "ana", "--annotations", "none.jsonl")
    assert code == 2
    assert "none.jsonl" in err

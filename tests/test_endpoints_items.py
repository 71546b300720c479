import json

import pytest

from data.store import Store, StoreError
from tests.http_client import SECRET, problem, store_of
from tests.stubs import tagged

ITEM = {
    "response_id": "a/b c",
    "score": 3,
    "comment": "Billed twice",
    "respondent_id": "ana",
    "region": "North",
}
PATH = "/v1/responses/a%2Fb%20c"


def tagger_of(client):
    return client.app.state.service.loaded.inner


def put(client, item=ITEM, path=PATH, **more):
    return client.put(path, json=item, **more)


def test_a_response_is_stored_read_and_deleted_by_its_id(client):
    problem(client.get(PATH), 404)
    stored = put(client)
    assert stored.status_code == 200, stored.text
    found = client.get(PATH)
    assert found.json() == stored.json() == store_of(client).get("a/b c").to_record()
    assert found.json()["tags"][0]["code"] == "billing.unexpected-charge"
    assert client.delete(PATH).status_code == 204
    problem(client.get(PATH), 404)
    problem(client.delete(PATH), 404)
    assert store_of(client).count() == 0


def test_an_edit_of_the_comment_is_tagged_anew_and_others_are_not(client):
    put(client)
    read = tagger_of(client).read
    changed = client.patch(PATH, json={"score": 9, "region": None, "channel": "web"}).json()
    assert tagger_of(client).read == read
    assert (changed["score"], changed["channel"], changed["comment"]) == (9, "web", "Billed twice")
    assert "region" not in changed
    assert changed["tags"]
    changed = client.patch(
        PATH, content='{"comment": "The price"}', headers={"content-type": "application/merge-patch+json"}
    ).json()
    assert tagger_of(client).read == read + 1
    assert [tag["code"] for tag in changed["tags"]] == ["pricing.too-expensive"]
    assert client.patch(PATH, json={"comment": None}).json()["status"] == "no_comment"


@pytest.mark.parametrize("method", ["put", "patch"])
@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"score": 11}, "#/score"),
        ({"score": SECRET}, "#/score"),
        ({"response_id": "other"}, "#/response_id"),
        ({"a": [SECRET]}, "#/a"),
    ],
)
def test_a_field_that_cannot_be_understood_is_named(client, method, change, pointer):
    put(client)
    answer = getattr(client, method)(PATH, json=change)
    assert problem(answer, 422)["errors"][0]["pointer"] == pointer
    assert client.get(PATH).json()["score"] == 3


def test_who_read_an_old_version_changes_nothing(client):
    tag = put(client).headers["etag"]
    assert client.get(PATH).headers["etag"] == tag
    unchanged = client.get(PATH, headers={"if-none-match": tag})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    newer = client.patch(PATH, json={"score": 5}, headers={"if-match": tag}).headers["etag"]
    assert newer != tag
    for answer in (
        client.patch(PATH, json={"score": 6}, headers={"if-match": tag}),
        put(client, headers={"if-match": tag}),
        client.delete(PATH, headers={"if-match": tag}),
    ):
        problem(answer, 412)
    assert client.get(PATH).json()["score"] == 5
    problem(put(client, path="/v1/responses/new", item={}, headers={"if-match": "*"}), 412)


@pytest.fixture
def meddling(monkeypatch):
    """Give a function after which somebody else writes a score, once, before the next writing."""
    due = []

    def before(name):
        real = getattr(Store, name)

        def meddled(self, *given, **more):
            if due:
                upsert(self, [tagged("a/b c", due.pop(), "Billed twice", segments={"region": "South"})])
            return real(self, *given, **more)

        monkeypatch.setattr(Store, name, meddled)

    upsert = Store.upsert
    before("upsert")
    before("delete")
    return due.append


def test_two_changes_at_once_are_both_made(client, meddling):
    """The change is made to what is there then."""
    put(client)
    meddling(8)
    changed = client.patch(PATH, json={"channel": "web"}).json()
    assert (changed["score"], changed["region"], changed["channel"]) == (8, "South", "web")


def test_of_two_who_replace_at_once_the_last_wins_unless_it_names_what_it_has_read(client, meddling):
    tag = put(client).headers["etag"]
    meddling(8)
    problem(put(client, headers={"if-match": tag}), 409)
    assert client.get(PATH).json()["score"] == 8
    meddling(9)
    assert put(client).json()["score"] == 3  # such as a retry of one whose first try was late


def test_what_somebody_else_has_just_changed_is_not_deleted(client, meddling):
    tag = put(client).headers["etag"]
    meddling(8)
    problem(client.delete(PATH, headers={"if-match": tag}), 412)
    tag = client.get(PATH).headers["etag"]
    assert client.get(PATH).json()["score"] == 8
    assert client.delete(PATH, headers={"if-match": tag}).status_code == 204
    problem(client.delete(PATH, headers={"if-match": tag}), 412)
    put(client)
    meddling(9)
    assert client.delete(PATH).status_code == 204


def test_a_respondent_is_erased_and_stays_so(client, tmp_path):
    items = [
        ITEM,
        {"response_id": "r2", "comment": "The agent, the price", "respondent_id": "ana"},
        {"response_id": "r3", "comment": "Billed", "respondent_id": "ben"},
        {"response_id": "r4", "comment": "Billed"},
    ]
    client.post("/v1/responses", json={"responses": items})
    labels = [
        {"response_id": "r2", "comment": "The agent, the price", "codes": []},
        {"comment": "Billed twice", "codes": []},
        {"response_id": "r3", "comment": "Billed", "codes": []},
    ]
    client.post("/v1/annotations", json={"annotations": labels}).raise_for_status()
    version = store_of(client).version()
    erased = client.delete("/v1/respondents/ana")
    assert erased.status_code == 200, erased.text
    assert erased.json() == {"responses": 2, "tags": 3, "evidence": 3, "annotations": 2, "audit_items": 0}
    assert store_of(client).version() > version
    assert {row.response.response_id for row in store_of(client).tagged()} == {"r3", "r4"}
    assert [row["response_id"] for row in client.get("/v1/annotations").json()["annotations"]] == ["r3"]
    again = client.post("/v1/responses", json={"responses": items}).json()
    assert (again["erased"], again["created"], again["unchanged"]) == (2, 0, 2)
    assert problem(put(client), 409)["type"].endswith("respondent-was-erased")
    problem(client.patch("/v1/responses/r3", json={"respondent_id": "ana"}), 409)
    assert store_of(client).count() == 2
    assert client.delete("/v1/respondents/ana").json()["responses"] == 0
    held = b"".join(path.read_bytes() for path in tmp_path.rglob("*.sqlite*"))
    assert b"lovely" not in held


@pytest.mark.parametrize("name", ["ana%20", "%09ana", "%E2%80%8Bana%C2%A0"])
def test_blanks_around_a_respondents_id_are_none_as_in_what_is_stored(client, name):
    put(client, {**ITEM, "respondent_id": "ana "})
    assert client.delete(f"/v1/respondents/{name}").json()["responses"] == 1
    assert problem(put(client), 409)["type"].endswith("respondent-was-erased")


def test_the_key_of_those_erased_lies_apart_and_is_missed(client, tmp_path):
    url = client.app.state.service.settings.store
    client.delete("/v1/respondents/ana")
    key = tmp_path / "erasure.key"
    assert key.stat().st_mode & 0o077 == 0
    digits = key.read_bytes()
    key.write_bytes(b"0" * 32)
    with Store.open(url, erasure_key=tmp_path / "erasure.key") as other:
        with pytest.raises(StoreError, match=r"erasure\.key"):
            other.upsert([tagged("r1", respondent_id="ben")])
    key.write_bytes(digits)
    with Store.open(url, erasure_key=tmp_path / "erasure.key") as other:
        assert (
            other.upsert([tagged("r1", respondent_id="ben"), tagged("r2", respondent_id="ana")]).erased == 1
        )


@pytest.mark.parametrize("name", ["%20", "%E2%80%8B", "x" * 600])
def test_a_respondent_without_a_name_is_nobody(client, name):
    problem(client.delete(f"/v1/respondents/{name}"), 422)


def test_erasing_leaves_no_id_in_the_store(client, tmp_path):
    put(client, {**ITEM, "respondent_id": "ana.unusual@example.com"})
    client.delete("/v1/respondents/ana.unusual@example.com").raise_for_status()
    with store_of(client).reading() as connection:
        dump = json.dumps(
            [
                [str(cell) for cell in row]
                for table in ("responses", "tags", "annotations", "tombstones", "kept_answers", "jobs")
                for row in connection.exec_driver_sql(f"SELECT * FROM {table}")
            ]
        )
    assert "unusual" not in dump
    assert "Billed" not in dump

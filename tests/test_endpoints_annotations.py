import json

import pytest

from data.annotations import Annotation, CodeLabel
from data.store import UpsertResult
from data.stored_annotations import all_annotations, annotation_page, keep_annotations
from data.taxonomy import parse_taxonomy
from tests.http_client import SECRET, problem, store_of

ANA = {
    "response_id": "r1",
    "comment": "Billed twice, but the agent was lovely.",
    "taxonomy_version": 3,
    "annotator": "ana",
    "codes": [
        {"code": "billing.unexpected-charge", "polarity": "negative", "evidence": "Billed twice"},
        {"code": "support.attitude", "polarity": "positive"},
    ],
}
NDJSON = {"content-type": "application/x-ndjson"}


def keep(client, *items):
    return client.post("/v1/annotations", json={"annotations": list(items)})


def test_annotations_are_kept_and_given_back_as_files_hold_them(client):
    bare = {"comment": "fine", "codes": ["pricing.too-expensive"]}
    kept = keep(client, ANA, bare)
    assert kept.json() == {"received": 2, "created": 2, "updated": 0, "unchanged": 0}
    assert keep(client, ANA, ANA | {"annotator": "ben", "codes": []}).json() == {
        "received": 2,
        "created": 1,
        "updated": 0,
        "unchanged": 1,
    }
    assert keep(client, ANA | {"codes": []}).json()["updated"] == 1
    keep(client, ANA)
    exported = client.get("/v1/annotations/export")
    assert exported.headers["content-type"] == "application/x-ndjson"
    rows = [json.loads(line) for line in exported.text.splitlines()]
    assert rows[1:] == [ANA, ANA | {"annotator": "ben", "codes": []}]
    assert rows[0]["response_id"].startswith("comment-")
    assert client.get("/v1/annotations").json()["annotations"] == rows


def test_a_file_goes_in_as_it_came_out(client):
    keep(client, ANA, ANA | {"response_id": "r2"})
    file = client.get("/v1/annotations/export").content
    assert client.post("/v1/annotations", content=file, headers=NDJSON).json()["unchanged"] == 2
    bad = client.post("/v1/annotations", content=file + b"{", headers=NDJSON, params={"filename": "a.jsonl"})
    assert problem(bad, 422)["detail"].startswith("a.jsonl, row 3")
    bad = client.post("/v1/annotations", content=json.dumps(ANA | {"codes": ["nope"]}), headers=NDJSON)
    assert (problem(bad, 422)["row"], problem(bad, 422)["file"]) == (1, "upload.ndjson")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"codes": ["billing.unexpected-chrge"]}, "#/annotations/1/codes"),
        ({"comment": "  "}, "#/annotations/1/comment"),
        ({"comment": 5}, "#/annotations/1/comment"),
        ({"taxonomy_version": 4}, "#/annotations/1/taxonomy_version"),
        ({"codes": [{"code": "support.attitude", "evidence": SECRET}]}, "#/annotations/1/codes"),
        ({"codes": [{"code": "support.attitude", "polarty": "x"}]}, "#/annotations/1/codes/0"),
    ],
)
def test_one_that_cannot_be_understood_is_named_and_none_is_kept(client, change, pointer):
    found = problem(keep(client, ANA, ANA | change), 422)
    assert found["errors"][0]["pointer"].startswith(pointer)
    assert list(all_annotations(store_of(client))) == []


def test_pages_hold_every_annotation_once(shared_store):
    rows = [Annotation(f"r{i % 7}", "x", (CodeLabel("a"),), 1, f"n{i}" if i % 3 else None) for i in range(21)]
    result = keep_annotations(rows, shared_store)
    assert result == UpsertResult(len({(row.response_id, row.annotator) for row in rows}), 0, 0)
    found, cursor = [], None
    while True:
        page, cursor = annotation_page(shared_store, 4, cursor)
        found += page
        if cursor is None:
            break
    assert found == list(all_annotations(shared_store, 5))
    assert len(found) == result.created


def test_a_deleted_response_takes_its_annotations_along(client):
    client.put("/v1/responses/r1", json={"comment": ANA["comment"]})
    keep(client, ANA, ANA | {"response_id": "r2"})
    client.delete("/v1/responses/r1")
    assert [row["response_id"] for row in client.get("/v1/annotations").json()["annotations"]] == ["r2"]


def test_the_versions_of_the_taxonomy(client):
    taxonomy = parse_taxonomy(
        """
name: t
version: 3
codes: [{id: a}, {id: c}, {id: d}]
migrations: [{version: 2, add: c}, {version: 3, move: b, to: d}]
"""
    )
    client.app.state.service.loaded.inner.taxonomy = taxonomy
    first = client.get("/v1/taxonomy/versions", params={"limit": 2}).json()
    assert [one["version"] for one in first["versions"]] == [3, 2]
    assert first["versions"][0]["removed"] == ["b"]
    rest = client.get(first["next"]).json()
    assert [(one["version"], one["codes"]) for one in rest["versions"]] == [(1, sorted(taxonomy.known_at(1)))]
    assert rest["next"] is None
    problem(client.get("/v1/taxonomy/versions?cursor=x"), 422)

import gzip

import pytest

from data.scale import NPS
from model.periods import with_periods
from model.provenance import read_scored
from model.trends import find_trends
from tests.http_client import ROWS, problem, store_of
from tests.stubs import tagged


@pytest.fixture(scope="module")
def scored():
    return read_scored(with_periods(ROWS), NPS)


def test_the_metric_is_that_of_the_ranking(filled):
    found = filled.get("/v1/nps").json()
    ranked = filled.get("/v1/root-causes").json()
    assert found["metric"] == ranked["metric"]
    assert found["n_unscored"] == ranked["n_unscored"]
    assert (found["periods"], found["groups"]) == (None, None)


def test_the_metric_of_each_value_and_month(filled, scored):
    found = filled.get("/v1/nps", params={"by": "region", "period": "month"}).json()
    assert set(found["groups"]) == {"North", "South"}
    for name, one in found["groups"].items():
        alone = filled.get("/v1/nps", params={"segment": f"region:{name}", "period": "month"}).json()
        assert alone["metric"] == one["metric"]
        assert alone["periods"] == one["periods"]
    expected = find_trends(*scored, "month").to_dict()["periods"]
    assert [period | {"versions": list(period["versions"])} for period in expected] == found["periods"]
    assert (
        sum(period["responses"] for period in found["periods"]) + found["n_undated"] == found["metric"]["n"]
    )


def test_trends_are_those_of_the_command(filled, scored):
    found = filled.get("/v1/trends", params={"by": "week"}).json()
    expected = find_trends(*scored, "week").to_dict()
    assert found["causes"] == {name: list(points) for name, points in expected["causes"].items()}
    assert found["notes"] == expected["notes"]
    assert found["labels"]["billing.unexpected-charge"] == "Unexpected charge"
    one = filled.get("/v1/trends", params={"by": "week", "code": "billing"}).json()
    assert list(one["causes"]) == ["billing"]


def test_hotspots_are_those_of_the_findings(filled):
    found = filled.get("/v1/hotspots").json()
    assert found["hotspots"] == filled.get("/v1/findings").json()["hotspots"]
    assert found["q"] == 0.1
    assert len(filled.get("/v1/hotspots", params={"q": 0.9}).json()["hotspots"]) >= len(found["hotspots"])


@pytest.mark.parametrize(
    ("path", "params", "parameter", "status"),
    [
        ("nps", {"by": "nope"}, "by", 404),
        ("nps", {"period": "year"}, "period", 422),
        ("nps", {"segment": "region"}, "segment", 422),
        ("trends", {"by": "year"}, "by", 422),
        ("trends", {"code": "nope"}, "code", 422),
        ("hotspots", {"q": "0"}, "q", 422),
        ("hotspots", {"q": "nan"}, "q", 422),
        ("hotspots", {"segment": "nope:x"}, "segment", 404),
    ],
)
def test_a_parameter_that_cannot_be_understood_is_named(filled, path, params, parameter, status):
    assert problem(filled.get(f"/v1/{path}", params=params), status)["errors"][0]["parameter"] == parameter


@pytest.mark.parametrize("path", ["nps?period=day&by=week", "nps", "trends", "hotspots"])
def test_an_empty_store_has_nothing_to_follow(client, path):
    store_of(client).upsert([tagged("r1", None)])
    store_of(client).upsert([tagged("r2", 3, responded_at=None)] if "by" not in path else [tagged("r2")])
    assert client.get(f"/v1/{path}").status_code == 200
    client.delete("/v1/responses/r1")
    client.delete("/v1/responses/r2")
    if "by" not in path:
        assert client.get(f"/v1/{path}").status_code == 200


def test_a_filter_that_nothing_meets_finds_nothing(filled):
    none = {"until": "2020-01-01"}
    assert filled.get("/v1/hotspots", params=none).json()["hotspots"] == []
    assert filled.get("/v1/nps", params=none | {"by": "region", "period": "week"}).json()["groups"] == {}
    assert filled.get("/v1/trends", params=none).json()["causes"] == {}


def test_too_long_a_time_is_told(client):
    store_of(client).upsert(
        [tagged("r1"), tagged("r2", responded_at=tagged("r1").response.responded_at.replace(1900))]
    )
    assert problem(client.get("/v1/nps?period=day"), 422)["errors"][0]["parameter"] == "period"
    assert problem(client.get("/v1/trends?by=day"), 422)["errors"][0]["parameter"] == "by"


# What all answers share: entity tags, HEAD, gzip, links, dates.

GETS = ["responses", "root-causes", "findings", "segments", "taxonomy", "nps", "trends", "hotspots"]


@pytest.mark.parametrize("path", GETS)
def test_what_has_not_changed_is_not_sent_again(client, path):
    store = store_of(client)
    store.upsert(ROWS[:30])
    first = client.get(f"/v1/{path}")
    tag = first.headers["etag"]
    for given in (tag, f'"x", {tag}', tag.removeprefix("W/"), "*"):
        again = client.get(f"/v1/{path}", headers={"if-none-match": given})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert client.get(f"/v1/{path}", headers={"if-none-match": '"x"'}).status_code == 200
    store.upsert([tagged("new")])
    assert client.get(f"/v1/{path}", headers={"if-none-match": tag}).headers["etag"] != tag


@pytest.mark.parametrize("path", ["/healthz", "/v1/responses", "/v1/root-causes", "/", "/v1/jobs"])
def test_head_gives_what_get_gives_without_the_body(filled, path):
    body, head = filled.get(path), filled.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == body.headers["content-type"]
    assert head.headers.get("etag") == body.headers.get("etag")
    assert filled.head("/v1/nope").status_code == 404
    assert filled.head("/v1/tag").status_code == 405


def test_answers_are_packed_for_who_can_unpack_them(filled):
    packed = filled.get("/v1/responses", headers={"accept-encoding": "gzip"})
    plain = filled.get("/v1/responses", headers={"accept-encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.json() == plain.json()
    assert len(gzip.compress(plain.content)) < len(plain.content) / 2


def test_pages_link_to_the_next_one(filled):
    found, address = [], "/v1/responses?limit=50&segment=region:North"
    while address:
        answer = filled.get(address)
        found += [row["response_id"] for row in answer.json()["responses"]]
        address = answer.json()["next"]
        assert answer.headers.get("link") == (None if address is None else f'<{address}>; rel="next"')
    expected = [row.response.response_id for row in ROWS if row.response.segments["region"] == "North"]
    assert sorted(found) == sorted(expected)


def test_a_ranking_says_from_when_to_when(filled):
    dates = sorted(row.response.responded_at for row in ROWS if row.response.responded_at)
    found = filled.get("/v1/root-causes").json()
    assert (found["from"], found["to"]) == (dates[0].isoformat(), dates[-1].isoformat())
    april = [date for date in dates if date.month == 4]
    found = filled.get("/v1/root-causes", params={"segment": "month:2026-04"}).json()
    assert (found["from"], found["to"]) == (april[0].isoformat(), april[-1].isoformat())
    none = filled.get("/v1/root-causes", params={"until": "2020-01-01"}).json()
    assert (none["from"], none["to"]) == (None, None)

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from data.scale import NPS
from model.findings import find_all
from model.mentions import ScoredResponses
from model.periods import with_periods
from model.root_causes import rank_by_segment, rank_root_causes
from model.segment_cells import segment_cells
from serving import ranking as ranking_room
from tests.http_client import ROWS, ids, problem, store_of
from tests.stubs import tagged


def test_the_ranking_is_the_one_of_the_model_floor(filled):
    answer = filled.get("/v1/root-causes", params={"by": "month"})
    assert answer.status_code == 200, answer.text
    reply = answer.json()
    scored = ScoredResponses.from_tagged(with_periods(ROWS), NPS)
    codes = filled.app.state.service.taxonomy.active
    expected = json.loads(json.dumps(rank_root_causes(scored, codes=codes).to_dict()))
    assert {name: reply[name] for name in expected} == expected
    groups = {value: ranking.to_dict() for value, ranking in rank_by_segment(scored, "month").items()}
    assert reply["groups"] == json.loads(json.dumps(groups))
    assert set(reply["groups"]) == {"", "2026-03", "2026-04"}
    assert reply["by"] == "month"
    assert reply["models"] == {"stub/1": len(ROWS)}
    shown = {row["code"] for row in (*reply["rows"], *reply["parents"])} | set(reply["buckets"])
    assert set(reply["labels"]) == shown
    assert reply["labels"]["pricing.too-expensive"] == "Too expensive"
    assert reply["labels"]["pricing"] == "Pricing"


@pytest.mark.parametrize(
    ("params", "held"),
    [
        ({"segment": "region:South"}, lambda r: r.segments["region"] == "South"),
        ({"segment": "Q1: plan:basic"}, lambda r: True),
        ({"segment": "region:West"}, lambda r: False),
        (
            {"since": "2026-04-01"},
            lambda r: r.responded_at and r.responded_at >= datetime(2026, 4, 1, tzinfo=UTC),
        ),
        (
            {
                "since": "2026-03-10T02:00:00+02:00",
                "until": "2026-04-10T00:00:00Z",
                "segment": "region:North",
            },
            lambda r: (
                r.segments["region"] == "North"
                and r.responded_at
                and datetime(2026, 3, 10, tzinfo=UTC) <= r.responded_at < datetime(2026, 4, 10, tzinfo=UTC)
            ),
        ),
    ],
)
def test_a_filtered_ranking_is_the_ranking_of_the_filtered_rows(filled, params, held):
    rows = [row for row in with_periods(ROWS) if held(row.response)]
    reply = filled.get("/v1/root-causes", params=params | {"by": "region"}).json()
    expected = ScoredResponses.from_tagged(rows, NPS)
    assert (reply["n_scored"], reply["n_unscored"]) == (expected.n, expected.unscored)
    assert reply["metric"]["value"] == pytest.approx(rank_root_causes(expected).metric.value)
    lost = {row.code: row.points_lost for row in rank_root_causes(expected).rows}
    assert {row["code"]: row["points_lost"] for row in reply["rows"] if row["mentions"]} == pytest.approx(
        lost
    )
    assert sum(group["n_unscored"] for group in reply["groups"].values()) <= expected.unscored
    assert sum(group["n_scored"] for group in reply["groups"].values()) == expected.n


def test_the_ranking_follows_the_store(client, monkeypatch):
    assert client.get("/v1/root-causes").json()["metric"]["value"] is None
    client.post("/v1/responses", json={"responses": [{"response_id": "r1", "score": 10}]})
    assert client.get("/v1/root-causes").json()["metric"]["value"] == 100
    monkeypatch.setattr(ranking_room, "rank_root_causes", None)  # what is kept needs no ranking
    assert client.get("/v1/root-causes").json()["n_scored"] == 1
    monkeypatch.undo()
    client.post("/v1/responses", json={"responses": [{"response_id": "r1", "score": 0}]})
    assert client.get("/v1/root-causes").json()["metric"]["value"] == -100


@pytest.mark.parametrize("params", [{"by": "nope"}, {"segment": "nope:x"}])
def test_a_segment_that_is_not_there_is_not_found(filled, params):
    found = problem(filled.get("/v1/root-causes", params=params), 404)
    assert found["errors"][0]["parameter"] == next(iter(params))


def test_findings_are_those_of_the_model_floor(client):
    """Here every South response is a detractor over one bill, so that there is something to find."""
    rows = [
        tagged(
            f"r{i}",
            0 if i % 4 == 0 else 9,
            "Billed twice" if i % 4 == 0 else "fine",
            segments={"region": "South" if i % 4 == 0 else "North"},
            responded_at=datetime(2026, 4, 1 + i % 28, tzinfo=UTC),
        )
        for i in range(240)
    ]
    store_of(client).upsert(rows)
    answer = client.get("/v1/findings")
    assert answer.status_code == 200, answer.text
    expected = find_all(ScoredResponses.from_tagged(with_periods(rows), NPS)).to_dict()
    assert [(spot["segment"], spot["value"]) for spot in expected["hotspots"]] == [("region", "South")]
    labels = {"billing.unexpected-charge": "Unexpected charge"}
    assert answer.json() == json.loads(
        json.dumps(expected | {"labels": labels, "versions": ["stub/1 (taxonomy 3)"]})
    )


def test_two_models_in_the_store_refuse_changes_over_time(client):
    """Here bills go wrong from May on, and from May on another model tags."""
    rows = [
        tagged(
            f"r{i}",
            0 if i >= 120 and i % 2 else 9,
            "Billed twice" if i >= 120 and i % 2 else "fine",
            responded_at=datetime(2026, 3, 2, tzinfo=UTC) + timedelta(hours=12 * i),
        )
        for i in range(240)
    ]
    store_of(client).upsert(rows)
    found = client.get("/v1/findings").json()
    assert [change["shape"] for change in found["changes"]] == ["step"]
    assert found["refused"] is None
    assert client.get("/v1/root-causes").json()["versions"] == ["stub/1 (taxonomy 3)"]
    store_of(client).upsert([replace(row, model="stub/2") for row in rows[120:]])
    found = client.get("/v1/findings").json()
    assert found["changes"] == []
    assert found["refused"] in found["notes"]
    assert "stub/1 (taxonomy 3) and stub/2 (taxonomy 3): a change of the model" in found["refused"]
    both = ["stub/1 (taxonomy 3)", "stub/2 (taxonomy 3)"]
    assert client.get("/v1/root-causes").json()["versions"] == both
    store_of(client).upsert([replace(row, taxonomy_version=3 + (i >= 120)) for i, row in enumerate(rows)])
    assert "stub/1 (taxonomy 3) and stub/1 (taxonomy 4)" in client.get("/v1/findings").json()["refused"]


def test_a_ranking_by_a_segment_has_its_cells(filled):
    reply = filled.get("/v1/root-causes", params={"by": "region"}).json()
    scored = ScoredResponses.from_tagged(with_periods(ROWS), NPS)
    assert reply["cells"] == json.loads(json.dumps(segment_cells(scored, "region").to_dict()))
    assert {cell["value"] for cell in reply["cells"]["rows"]} == {"North", "South"}
    assert filled.get("/v1/root-causes").json()["cells"] is None
    by_week = filled.get("/v1/root-causes", params={"by": "week"}).json()["cells"]
    assert (by_week["rows"], by_week["reason"]) == ([], "periods")
    nobody = filled.get("/v1/root-causes", params={"by": "region", "segment": "region:West"}).json()
    assert nobody["cells"]["reason"] == "no_eligible_code"


def test_segments_are_listed_with_months_and_weeks(filled):
    found = {segment["name"]: segment for segment in filled.get("/v1/segments").json()["segments"]}
    assert list(found) == sorted(["Q1: plan", "month", "region", "week"])
    assert found["region"] == {
        "name": "region",
        "values": ["North", "South"],
        "n_values": 2,
        "derived": False,
    }
    assert found["month"] == {
        "name": "month",
        "values": ["2026-03", "2026-04"],
        "n_values": 2,
        "derived": True,
    }


def test_a_column_called_month_stays_what_it_is(client):
    items = [{"response_id": "r1", "score": 1, "month": "April", "responded_at": "2026-04-06"}]
    client.post("/v1/responses", json={"responses": items})
    found = {segment["name"]: segment for segment in client.get("/v1/segments").json()["segments"]}
    assert (found["month"]["values"], found["month"]["derived"]) == (["April"], False)
    assert ids(client.get("/v1/responses", params={"segment": "month:April"})) == ["r1"]
    assert set(client.get("/v1/root-causes", params={"by": "month"}).json()["groups"]) == {"April"}


def test_a_column_with_too_many_values_is_no_segment_to_rank_by(client):
    items = [{"response_id": i, "score": 1, "ticket": i} for i in range(1002)]
    client.post("/v1/responses", json={"responses": items})
    (segment,) = client.get("/v1/segments").json()["segments"]
    assert (len(segment["values"]), segment["n_values"]) == (1000, 1002)
    problem(client.get("/v1/root-causes", params={"by": "ticket"}), 422)


def test_the_taxonomy_is_the_one_of_the_model(filled):
    reply = filled.get("/v1/taxonomy").json()
    assert (reply["name"], reply["version"]) == ("stub", 3)
    assert [code["id"] for code in reply["codes"]] == reply["active"]

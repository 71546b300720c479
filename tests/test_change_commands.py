"""`change`, `trends`, `findings` and `rank --benchmarks` on tags made on the spot."""

import csv
import json
from datetime import UTC, datetime, timedelta

import numpy as np
import openpyxl
import pytest

from data.responses import Response
from data.scale import NPS
from data.tags import Tag, TaggedResponse, write_tags
from model.mentions import ScoredResponses
from model.periods import with_periods
from model.segment_cells import segment_cells

CODES = ("bill.charge", "wait", "price")


def answers(seed=1, n=900, *, model="m/1", later_model=None, ids="r"):
    """Give answers from January to March; in February bills go wrong, and the North answers more."""
    rng = np.random.default_rng(seed)
    for i in range(n):
        when = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=90 * i / n)
        later = when.month > 1
        region = "North" if rng.random() < (0.7 if later else 0.4) else "South"
        chances = (0.25 if when.month == 2 else 0.05, 0.3 if region == "North" else 0.05, 0.1)
        found = [code for code, chance in zip(CODES, chances, strict=True) if rng.random() < chance]
        score = int(rng.choice([2, 8])) if found else int(rng.choice([8, 9, 10]))
        response = Response(f"{ids}{i}", score, "x", when, None, 1.0, {"region": region})
        tags = tuple(Tag(code, "negative", 0.9) for code in found)
        tagged_by = later_model if later and later_model else model
        yield TaggedResponse(response, "tagged" if tags else "uncoded", tags, tagged_by, 1)


@pytest.fixture
def tags(tmp_path):
    write_tags(answers(), tmp_path / "tags.jsonl")
    return "tags.jsonl"


def test_a_change_is_taken_apart(whyscore, tags):
    months = ("--from", "2026-01", "--to", "2026-02")
    code, out, err = whyscore("change", tags, *months, "--by", "region", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    parts = [row["change"] for row in (*found["rows"], *found["buckets"].values())]
    change = found["before"]["value"] - found["after"]["value"]
    assert sum(parts) == pytest.approx(change, abs=1e-9)
    assert found["metric"]["value"] == pytest.approx(-change)
    assert (found["from"], found["to"]) == ("2026-01", "2026-02")
    bill = found["rows"][0]
    assert (bill["code"], bill["flagged"]) == ("bill.charge", True)
    split = found["mix_and_rate"]
    assert set(split) == {"metric", *CODES, "uncoded", "no_comment"}
    assert split["metric"]["mix"]["points"] + split["metric"]["rate"]["points"] == pytest.approx(change)
    assert split["wait"]["mix"]["points"] > abs(split["wait"]["rate"]["points"])
    assert split["bill.charge"]["rate"]["low"] > 0

    code, out, err = whyscore("change", tags, *months, "--by", "region")
    assert code == 0
    assert "bill.charge" in out
    assert "flagged" in out
    assert "who answered (mix)" in out
    assert bill["sentence"] in " ".join(err.split())


def test_two_values_of_a_segment_are_compared(whyscore, tags):
    code, out, _ = whyscore(
        "change", tags, "--segment", "region", "--from", "South", "--to", "North", "--json"
    )
    assert code == 0
    wait = json.loads(out)["rows"][0]
    assert wait["code"] == "wait"
    assert wait["sentence"].endswith("more in region North than in South")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--from", "March", "--to", "2026-02"), "'March' is not a period such as 2026-04"),
        (("--from", "2026-01", "--to", "2031"), "there is no scored response in '2031'"),
        (("--from", "2026-01", "--to", "2026-Q1"), "'2026-01' and '2026-Q1' overlap"),
        (("--from", "a", "--to", "b", "--segment", "shop"), "there is no segment 'shop'; the segments are:"),
        (
            ("--from", "North", "--to", "West", "--segment", "region"),
            "no scored response has 'region' 'West'; its values are: 'North', 'South'",
        ),
        (("--from", "2026-01", "--to", "2026-02", "--by", "shop"), "there is no segment 'shop'"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(whyscore, tags, options, said):
    code, out, err = whyscore("change", tags, *options)
    assert (code, out) == (2, "")
    assert said in " ".join(err.split())
    assert err.count("\n") == 1


def test_two_models_are_refused_without_an_overlap_and_bridged_with_one(whyscore, tmp_path):
    write_tags(answers(model="m/1", later_model="m/2"), tmp_path / "tags.jsonl")
    months = ("--from", "2026-01", "--to", "2026-02")
    code, out, err = whyscore("change", "tags.jsonl", *months)
    assert (code, out) == (2, "")
    assert "the tags of '2026-01' are by m/1 (taxonomy 1) and those of '2026-02' by m/2 (taxonomy 1)" in err
    quarter = ("--from", "2026-01-20..2026-02-10", "--to", "2026-03")
    assert (
        "are by m/1 (taxonomy 1) and m/2 (taxonomy 1); tag its responses anew"
        in (whyscore("change", "tags.jsonl", *quarter)[2])
    )

    def without_bills():
        for row in answers(model="m/2"):
            kept = tuple(tag for tag in row.tags if tag.code != "price")
            yield TaggedResponse(row.response, "tagged" if kept else "uncoded", kept, "m/2", 1)

    write_tags(without_bills(), tmp_path / "both.jsonl")
    code, out, _ = whyscore("change", "tags.jsonl", *months, "--overlap", "both.jsonl", "--json")
    assert code == 0
    found = json.loads(out)
    rows = {row["code"]: row for row in found["rows"]} | found["buckets"]
    assert rows["price"]["model_effect"]["high"] < 0
    assert rows["bill.charge"]["customer_change"]["low"] > 0
    assert sum(row["model_effect"]["points"] for row in rows.values()) == pytest.approx(0, abs=1e-9)
    code, out, err = whyscore("change", "tags.jsonl", *months, "--overlap", "both.jsonl", "--by", "region")
    assert code == 0
    assert "of customers" in out
    assert "Tagged by m/1 (taxonomy 1) and m/2 (taxonomy 1)" in err


def test_trends_by_day_week_and_month(whyscore, tags):
    code, out, err = whyscore("trends", tags, "--by", "month", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert [period["start"] for period in found["periods"]] == ["2026-01-01", "2026-02-01", "2026-03-01"]
    assert [period["partial"] for period in found["periods"]] == [False, False, False]
    assert list(found["causes"]) == [*sorted(CODES), "uncoded", "no_comment"]
    for at, period in enumerate(found["periods"]):
        lost = sum(points[at]["points_lost"] for points in found["causes"].values())
        assert lost == pytest.approx(100 - period["metric"]["value"], abs=1e-9)
    code, out, _ = whyscore("trends", tags, "--by", "week", "--code", "bill", "--window", "2026-02")
    assert code == 0
    assert "2026-01-26 (partial)" in out
    assert "bill" in out
    code, out, _ = whyscore("trends", tags, "--by", "day")
    assert (code, out.count("2026-02-")) == (0, 28)
    assert "price" in out
    assert "--by is one of day, week, month" in whyscore("trends", tags, "--by", "year")[2]


def test_findings_are_sentences(whyscore, tags, tmp_path):
    code, out, _ = whyscore("findings", tags, "--json")
    found = json.loads(out)
    assert code == 0
    assert ("wait", "North") in [(spot["code"], spot["value"]) for spot in found["hotspots"]]
    (change,) = [change for change in found["changes"] if change["code"] == "bill.charge"]
    assert change["shape"] == "spike"
    code, out, _ = whyscore("findings", tags)
    assert code == 0
    assert change["sentence"] in " ".join(out.split())
    write_tags(answers(later_model="m/2"), tmp_path / "mixed.jsonl")
    assert "so no change over time was looked for" in " ".join(whyscore("findings", "mixed.jsonl")[2].split())
    write_tags(answers(n=40), tmp_path / "few.jsonl")
    assert "Nothing stands out beyond chance." in whyscore("findings", "few.jsonl")[2]


def test_a_report_refuses_changes_across_models_and_says_why(whyscore, tmp_path):
    write_tags(answers(), tmp_path / "tags.jsonl")
    write_tags(answers(later_model="m/2"), tmp_path / "mixed.jsonl")
    assert whyscore("rank", "tags.jsonl", "-o", "one.html")[0] == 0
    one = (tmp_path / "one.html").read_text(encoding="utf-8")
    assert "Charge up" in one
    assert "no change over time was looked for" not in one
    assert whyscore("rank", "mixed.jsonl", "-o", "two.html")[0] == 0
    two = (tmp_path / "two.html").read_text(encoding="utf-8")
    assert "Charge up" not in two
    why = "The tags are by m/1 (taxonomy 1) and m/2 (taxonomy 1): a change of the model would look like"
    assert two.count(why) == 2  # where findings stand, and where all notes do
    assert "From 2026-02-02 on the tags are by m/2 (taxonomy 1), before by" in two
    assert "Two models tagged the week of 2026-01-26, so causes have no figure there." in two
    assert whyscore("rank", "mixed.jsonl", "-o", "two.xlsx")[0] == 0
    book = openpyxl.load_workbook(tmp_path / "two.xlsx")
    assert any(str(row[1].value).startswith(why) for row in book["Summary"].iter_rows())
    weeks = {row[1].value for row in book["Over time"].iter_rows(min_row=2)}
    assert "2026-01-19" in weeks
    assert "2026-01-26" not in weeks


def test_cells_are_shrunk_for_comparing(whyscore, tags, tmp_path):
    code, out, _ = whyscore("rank", tags, "--by", "region", "--json")
    document = json.loads(out)
    responses = ScoredResponses.from_tagged(with_periods(answers()), NPS)
    assert code == 0
    assert document["cells"] == json.loads(json.dumps(segment_cells(responses, "region").to_dict()))
    assert "by_model_alone" not in document
    plain = {row["code"]: row["points_lost"] for row in document["groups"]["North"]["rows"]}
    cells = {row["code"]: row for row in document["cells"]["rows"] if row["value"] == "North"}
    assert {name: cell["points_lost"] for name, cell in cells.items()} == pytest.approx(plain)
    assert "cells" not in json.loads(whyscore("rank", tags, "--json")[1])
    code, _, err = whyscore("rank", tags, "--by", "region", "-o", "r.csv")
    assert "Compare values by the shrunken figures" in " ".join(err.split())
    with (tmp_path / "r.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            cell = cells.get(row["code"]) if row["value"] == "North" else None
            if row["segment"] == "" or row["code"] in ("uncoded", "no_comment"):
                assert row["shrunk_points_lost"] == row["shrunk_pull"] == ""
            elif cell:
                assert float(row["shrunk_points_lost"]) == cell["shrunk"]
                assert float(row["shrunk_low"]) == cell["low"]


@pytest.mark.parametrize("name", ["tags.jsonl", "tags.parquet"])
def test_cells_that_cannot_be_say_why(whyscore, tmp_path, name):
    write_tags(answers(n=200), tmp_path / name, ["region"])
    cells = json.loads(whyscore("rank", name, "--by", "month", "--json")[1])["cells"]
    assert (cells["rows"], cells["reason"]) == ([], "periods")
    assert cells["note"] in " ".join(whyscore("rank", name, "--by", "month")[2].split())


def test_a_ranking_stands_beside_benchmarks(whyscore, tags, tmp_path):
    (tmp_path / "b.csv").write_text(
        "metric,value,n,label,segment,segment_value\nNPS,90,,Best,,\nNPS,10,400,Northern,region,North\n"
    )
    code, out, _ = whyscore("rank", tags, "--benchmarks", "b.csv", "--by", "region", "--json")
    assert code == 0
    beside = json.loads(out)["benchmarks"]
    assert [test["label"] for test in beside["overall"]] == ["Best"]
    assert beside["overall"][0]["differs"]
    assert {name: [test["label"] for test in tests] for name, tests in beside["groups"].items()} == {
        "North": ["Northern"],
        "South": ["Best"],
    }
    whyscore("rank", tags, "--benchmarks", "b.csv", "--by", "region", "-o", "r.json")
    written = json.loads((tmp_path / "r.json").read_text())
    assert written.pop("manifest")["code"]["version"]
    assert written == json.loads(out)
    code, _, err = whyscore("rank", tags, "--benchmarks", "b.csv", "-o", "r.html")
    assert "points below 'Best' (+90.0)" in " ".join(err.split())
    assert "rank --by that segment" in " ".join(err.split())
    assert "benchmarks" not in json.loads(whyscore("rank", tags, "--json")[1])
    assert whyscore("rank", tags, "--benchmarks", "none.csv")[0] == 2


def test_a_wrong_name_of_a_report_is_said_before_the_tags_are_read(whyscore, tmp_path):
    (tmp_path / "broken.jsonl").write_text("this would be another error\n")
    assert "a report is written as .json" in whyscore("rank", "broken.jsonl", "-o", "r.pdf")[2]
    assert "there is no such folder" in whyscore("rank", "broken.jsonl", "-o", "no/r.html")[2]


def test_an_empty_window_is_named_and_a_manifest_told(whyscore, tags):
    code, _, err = whyscore("rank", tags, "--window", "2025")
    assert code == 2
    assert "no row that was given within '2025' has a score" in " ".join(err.split())
    assert "Manifest -> m.json" in whyscore("rank", tags, "--manifest", "m.json")[2]

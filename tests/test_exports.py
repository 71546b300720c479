"""The workbook and the slides, read back as Excel and PowerPoint would."""

import csv
import io
import json
import zipfile
from dataclasses import replace
from datetime import date

import openpyxl
import pytest
from pptx import Presentation

from data.responses import Response
from data.scale import CES7, NPS
from data.tags import TaggedResponse, write_tags
from model.adjusted_effect import adjusted_effects
from model.findings import find_all
from model.mentions import ScoredResponses
from model.periods import with_periods
from model.root_causes import rank_by_segment, rank_root_causes
from model.segment_cells import SegmentCells, segment_cells
from serving.export_slides import LETTERS, MOST_CAUSES
from serving.export_table import COLUMNS
from serving.report import write_report
from serving.trend import Trend
from tests.random_responses import random_responses
from tests.test_report import ATTITUDE, CHARGE, FORMULA, HOSTILE, VALUE, survey, tagged

RUNS = ("=", "+", "-", "@", "\t", "\r")
BAD = "bell \x07 half \ud83d end \x1b\x00 \x0b"


@pytest.fixture(scope="module")
def rows():
    more = [
        tagged(f"m{i}", 2, f"=SUM(A{i}) billed {BAD}", [CHARGE, ATTITUDE], region="@x") for i in range(12)
    ]
    return [*survey(), *more]


@pytest.fixture(scope="module")
def ranked(rows):
    return ScoredResponses.from_tagged(with_periods(rows), NPS)


@pytest.fixture(scope="module")
def tags(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("tags") / "tags.jsonl"
    write_tags(rows, path)
    return path


def written(path, responses, **more):
    overall = rank_root_causes(responses)
    arguments = {"by": None, "title": "April"} | more
    groups = rank_by_segment(responses, arguments["by"]) if arguments["by"] else {}
    write_report(path, overall, groups, **arguments)
    return overall


@pytest.fixture(scope="module")
def everything(ranked):
    return {
        "trend": Trend.of(ranked),
        "findings": find_all(ranked),
        "adjusted": adjusted_effects(ranked, rank_root_causes(ranked)),
    }


def cells(path):
    book = openpyxl.load_workbook(path)
    return {sheet.title: [list(row) for row in sheet.iter_rows()] for sheet in book.worksheets}


def texts(slide):
    found = []
    for shape in slide.shapes:
        if shape.has_text_frame:
            found.append(shape.text_frame.text)
        if shape.has_table:
            found += [cell.text for row in shape.table.rows for cell in row.cells]
        if shape.shape_type == 6:  # a group
            found += texts(shape)
    return found


# The workbook.


def test_the_workbook_holds_the_ranking_in_sheets(tmp_path, ranked, tags, everything):
    path = tmp_path / "r.xlsx"
    overall = written(path, ranked, by="region", tags=tags, **everything)
    sheets = cells(path)
    assert list(sheets) == ["Summary", "Causes", "By region", "Over time", "Comments", "How to read it"]
    summary = {row[0].value: row[1].value for row in sheets["Summary"]}
    assert summary["NPS"] == pytest.approx(overall.metric.value)
    header, *causes = [[cell.value for cell in row] for row in sheets["Causes"]]
    assert header[: len(COLUMNS) - 2] == list(COLUMNS[2:])
    table = [dict(zip(header, row, strict=True)) for row in causes]
    assert sum(row["points_lost"] for row in table) == pytest.approx(100 - overall.metric.value)
    assert [row["code"] for row in table] == [row.code for row in (*overall.rows, *overall.buckets)]
    assert {row["adjusted_reason"] or bool(row["adjusted_value"]) for row in table if row["tier"]} == {
        "collinear",
        True,
    }
    assert {row[1].value for row in sheets["By region"][1:]} >= {None, "'=1+1", "North", VALUE}
    assert {row[0].value for row in sheets["Over time"][1:]} == {"week"}
    assert sheets["Comments"][0][4].value == "comment"
    assert isinstance(sheets["Comments"][1][3].value.date(), date)
    assert any(HOSTILE in str(row[4].value) for row in sheets["Comments"])


def test_no_cell_of_the_workbook_runs(tmp_path, ranked, tags, everything):
    path = tmp_path / "r.xlsx"
    written(path, ranked, by="region", title=FORMULA, tags=tags, labels={CHARGE: "+1"}, **everything)
    found = [cell for rows in cells(path).values() for row in rows for cell in row]
    assert {cell.data_type for cell in found} <= {"s", "inlineStr", "n", "b", "d"}
    words = [cell.value for cell in found if isinstance(cell.value, str)]
    assert not [text for text in words if text.startswith(RUNS)]
    assert {f"'{FORMULA}", "'+1", "'@x"} <= set(words)
    with zipfile.ZipFile(path) as parts:
        assert not [name for name in parts.namelist() if b"<f>" in parts.read(name)]


@pytest.mark.parametrize("by", ["[odd] / name: that * is ? much \\ too long for a sheet", "Causes", "'"])
def test_any_segment_name_gives_a_sheet(tmp_path, by):
    responses = random_responses(1, 200)
    renamed = ScoredResponses.from_arrays(
        NPS,
        responses.score,
        responses.codes,
        (responses.mention_rows, responses.mention_codes),
        segments={by: responses.segments["country"]},
    )
    written(tmp_path / "r.xlsx", renamed, by=by)
    assert len(cells(tmp_path / "r.xlsx")) == 4


# The slides.


def test_the_slides_lead_from_the_metric_to_the_causes(tmp_path, ranked, tags, everything):
    path = tmp_path / "r.pptx"
    overall = written(path, ranked, tags=tags, labels={CHARGE: "A charge"}, **everything)
    slides = list(Presentation(path).slides)
    titles = [slide.shapes.title.text_frame.text for slide in slides]
    causes = [row for row in overall.rows if row.tier]
    assert titles[:3] == ["NPS and what costs it most: April", "What costs the most NPS", "A charge"]
    assert titles[-1] == "How to read this"
    assert len(slides) == 3 + min(MOST_CAUSES, len(causes))
    assert any("95% interval" in text for text in texts(slides[0]))
    bars = texts(slides[1])
    assert any(text.startswith("Tier 1") for text in bars)
    assert f"{causes[0].points_lost:.1f}" in bars
    assert any("in comments without a reason code" in text for text in bars)
    figures = texts(slides[2])
    for name in ("Points lost", "Bracket", "From detractors", "From passives", "Adjusted effect"):
        assert name in figures
    quotes = [text for text in figures if text.startswith("\u201c")]
    assert len(quotes) == 3
    assert all(len(text) < LETTERS + 20 for text in quotes)
    assert any("Associated with" in text for text in texts(slides[-1]))


def test_the_bars_are_as_long_as_the_points(tmp_path, ranked):
    overall = written(tmp_path / "r.pptx", ranked)
    slide = Presentation(tmp_path / "r.pptx").slides[1]
    groups = [shape for shape in slide.shapes if shape.shape_type == 6]
    causes = [row for row in overall.rows if row.tier]
    assert len(groups) == len(causes) == 2
    lengths = []
    for group in groups:
        bars = [shape for shape in group.shapes if shape.shape_type == 1]
        lengths.append(bars[1].width)  # after the bracket: the whole bar, then its part
    assert lengths[0] / lengths[1] == pytest.approx(causes[0].points_lost / causes[1].points_lost, rel=1e-3)


def test_slides_survive_what_a_comment_holds(tmp_path, ranked, tags):
    written(tmp_path / "r.pptx", ranked, title=f"{BAD} <b>", tags=tags, labels={CHARGE: BAD})
    content = "".join(text for slide in Presentation(tmp_path / "r.pptx").slides for text in texts(slide))
    assert "\x07" not in content
    assert "bell" in content


def test_slides_of_nothing_and_of_two_classes(tmp_path):
    nothing = ScoredResponses.from_tagged([], NPS)
    written(tmp_path / "n.pptx", nothing)
    assert len(Presentation(tmp_path / "n.pptx").slides) == 2
    written(tmp_path / "n.xlsx", nothing)
    silent = [TaggedResponse(Response("a", 3.0, None), "no_comment", (), "m", 1)]
    written(tmp_path / "s.pptx", ScoredResponses.from_tagged(silent, NPS))
    assert any("none is ranked" in text for text in texts(Presentation(tmp_path / "s.pptx").slides[1]))
    written(tmp_path / "c.pptx", random_responses(1, 500, scale=CES7))
    content = " ".join(text for slide in Presentation(tmp_path / "c.pptx").slides for text in texts(slide))
    assert "CES" in content
    assert "detractor" not in content.lower()


def test_json_and_csv_hold_the_adjusted_effects_where_asked_for(tmp_path):
    responses = random_responses(2, 300)
    adjusted = adjusted_effects(responses, rank_root_causes(responses))
    written(tmp_path / "r.json", responses, adjusted=adjusted)
    document = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert document["adjusted"]["rows"] == adjusted.to_dict()["rows"]
    written(tmp_path / "r.csv", responses, adjusted=adjusted)
    first = next(csv.DictReader(io.StringIO((tmp_path / "r.csv").read_text(encoding="utf-8"))))
    assert float(first["adjusted_value"]) == adjusted.rows[0].value
    written(tmp_path / "plain.csv", responses)
    assert "adjusted" not in (tmp_path / "plain.csv").read_text(encoding="utf-8").splitlines()[0]


def test_shrunken_cells_stand_beside_the_plain_ones(tmp_path):
    responses = random_responses(1, 800, weighted=True, clustered=True)
    found = segment_cells(responses, "country")
    written(tmp_path / "r.xlsx", responses, by="country", cells=found)
    sheets = {
        name: [[cell.value for cell in row] for row in rows]
        for name, rows in cells(tmp_path / "r.xlsx").items()
    }
    header, *table = sheets["By country"]
    for row in (dict(zip(header, row, strict=True)) for row in table):
        cell = found.of(row["code"], row["value"] or "")
        assert (row["shrunk_points_lost"], row["shrunk_high"]) == (
            (None, None) if cell is None else (pytest.approx(cell.shrunk), pytest.approx(cell.high))
        )
    assert "shrunk_low" not in sheets["Causes"][0]
    assert [found.note] in sheets["How to read it"]
    written(tmp_path / "r.html", responses, by="country", cells=found)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    one = next(row for row in found.rows if row.value == "fr")
    assert f"<title>Shrunk: {one.shrunk:.1f} ({one.low:.1f}" in page
    assert page.count("<title>Shrunk: ") == len(found.rows)
    assert "Compare values by the shrunken figures" in page
    written(tmp_path / "w.html", responses, by="country", cells=SegmentCells.none("country", "periods"))
    page = (tmp_path / "w.html").read_text(encoding="utf-8")
    assert "<title>Shrunk: " not in page
    assert "Periods follow each other" in page


def test_doubtful_findings_are_told_apart(tmp_path, ranked, everything):
    findings = everything["findings"]
    (spot,) = findings.hotspots[:1]
    doubted = replace(findings, hotspots=findings.hotspots[1:], doubtful=(spot,))
    written(tmp_path / "r.html", ranked, findings=doubted)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "Doubtful</h3>" in page
    written(tmp_path / "s.html", ranked, findings=findings)
    assert "Doubtful</h3>" not in (tmp_path / "s.html").read_text(encoding="utf-8")
    written(tmp_path / "r.xlsx", ranked, findings=doubted)
    told = [row[1].value for row in cells(tmp_path / "r.xlsx")["Summary"] if row[0].value == "doubtful"]
    assert len(told) == 1
    assert "more points lost to" in told[0]


def test_the_page_shows_periods_findings_and_effects(tmp_path, ranked, tags, everything):
    written(tmp_path / "r.html", ranked, tags=tags, **everything)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    for words in ("Over time", "Adjusted effect", "Other views of the same causes", "Comments behind"):
        assert words in page
    assert page.count('class="dot"') >= 2 * len(Trend.of(ranked).rankings)

import csv
import io
import json
import os
import re
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import InputError
from data.responses import Response
from data.scale import CSAT5, NPS
from data.tags import Evidence, Tag, TaggedResponse, write_tags
from model.mentions import ScoredResponses
from model.periods import Span
from model.root_causes import rank_by_segment, rank_root_causes
from serving.charts import Axis, interval, points, round_axis, signed
from serving.quotes import marked
from serving.report import ranking_document, write_report
from tests.random_responses import random_responses

HOSTILE = "<script>alert('x')</script> \U0001f600 I was <b>billed</b> \"twice\" & {{ 7 * 7 }} {% raw %}"
VALUE = "<img src=x onerror=alert(1)>"
FORMULA = '=HYPERLINK("http://evil.example";"x")'
CHARGE, ATTITUDE = "billing.unexpected-charge", "support.attitude"


def tagged(key, score, comment, codes=(), polarity="negative", probability=0.9, **segments):
    """Give a response whose evidence is the word "billed" or, without it, the whole comment."""
    start = (comment or "").find("billed")
    end = start + len("billed") if start >= 0 else len(comment or "")
    evidence = (Evidence(max(0, start), end, ""),)
    when = datetime(2026, 4, 1, tzinfo=UTC) + timedelta(days=int(re.sub(r"\D", "", key) or 0) % 60)
    response = Response(key, score, comment, when, segments=segments)
    status = "no_comment" if comment is None else "tagged" if codes else "uncoded"
    tags = tuple(Tag(code, polarity, probability, evidence) for code in codes)
    return TaggedResponse(response, status, tags, "stub/1", 1)


def survey():
    """Give a hundred responses: one cause of all kinds of comments, one rare cause, silence, praise."""
    rows = [
        tagged(f"c{i}", i % 7, f"I was billed, the {i}th time", [CHARGE], region=VALUE if i % 2 else FORMULA)
        for i in range(30)
    ]
    rows += [tagged(f"a{i}", 7, "An agent was curt", [ATTITUDE], region="=1+1") for i in range(3)]
    rows += [tagged(f"p{i}", 9, "Lovely agent", [ATTITUDE], "positive", region="North") for i in range(27)]
    rows += [tagged(f"u{i}", 5, "Hm", region="North") for i in range(10)]
    rows += [tagged(f"n{i}", i % 11, None, region="") for i in range(30)]
    return [*rows, tagged("hostile", 0, HOSTILE, [CHARGE], probability=1.0, region=VALUE)]


@pytest.fixture(scope="module")
def rows():
    return survey()


@pytest.fixture(scope="module")
def ranked(rows):
    responses = ScoredResponses.from_tagged(rows, NPS)
    return rank_root_causes(responses), rank_by_segment(responses, "region")


@pytest.fixture(scope="module")
def tags(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("tags") / "tags.jsonl"
    write_tags(rows, path)
    return path


def written(folder, ending, ranked, **more):
    output = folder / f"report.{ending}"
    arguments = {"by": "region", "title": "April"} | more
    write_report(output, *ranked, **arguments)
    return output.read_text(encoding="utf-8")


class Reader(HTMLParser):
    """Collects elements with their attributes, and the text in each kind of element."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.texts, self.open = [], {}, []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in ("meta", "br"):
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        for tag in set(self.open):
            self.texts[tag][-1] += data


# JSON and CSV.


def test_json_holds_what_rank_prints(tmp_path, ranked):
    overall, groups = ranked
    document = json.loads(written(tmp_path, "json", ranked))
    assert document == json.loads(json.dumps(ranking_document(overall, groups, "region")))
    assert document["metric"]["value"] == overall.metric.value
    assert document["by"] == "region"
    assert set(document["groups"]) == {VALUE, FORMULA, "=1+1", "North", ""}
    assert "by" not in json.loads(written(tmp_path, "json", (overall, {}), by=None))


def test_csv_sums_to_the_metric_in_every_group(tmp_path, ranked):
    overall, groups = ranked
    rows = list(csv.DictReader(io.StringIO(written(tmp_path, "csv", ranked))))
    sums = {}
    for row in rows:
        key = row["segment"], row["value"]
        sums.setdefault(key, [100.0 - float(row["metric"]), 0.0])[1] += float(row["points_lost"])
    assert len(sums) == 1 + len(groups)
    assert all(lost == pytest.approx(total) for lost, total in sums.values())
    first = rows[0]
    assert (first["code"], first["tier"], first["status"]) == (CHARGE, "1", "eligible")
    assert float(first["points_lost"]) == overall.rows[0].points_lost
    assert float(first["impact_value"]) == overall.rows[0].impact.value < 0


def test_csv_runs_no_formula(tmp_path, ranked):
    rows = list(csv.reader(io.StringIO(written(tmp_path, "csv", ranked, by="@SUM(1)"))))
    texts = {cell for row in rows[1:] for cell in row if not re.fullmatch(r"-?[\d.e-]+", cell)}
    assert not [cell for cell in texts if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert {f"'{FORMULA}", "'@SUM(1)"} <= texts


# HTML.


def test_html_shows_hostile_texts_as_texts(tmp_path, ranked, tags):
    title = "<script>alert(2)</script>{{ 7 * 7 }}"
    page = written(tmp_path, "html", ranked, title=title, by="<i>region</i>", tags=tags)
    reader = Reader(page)
    kinds = {tag for tag, _ in reader.elements}
    assert not kinds & {"script", "img", "b", "i", "iframe", "object", "link", "form", "base"} - {"b"}
    assert not [name for _, attributes in reader.elements for name in attributes if name.startswith("on")]
    assert reader.texts["h1"] == [title]
    assert HOSTILE in reader.texts["blockquote"]
    assert any(VALUE in text for text in reader.texts["span"])
    assert any("By <i>region</i>" in text for text in reader.texts["h2"])


def test_html_needs_no_network(tmp_path, ranked, tags):
    page = written(tmp_path, "html", ranked, tags=tags)
    reader = Reader(page)
    assert not [a for _, attributes in reader.elements for a in attributes if a in ("src", "href", "style")]
    assert "url(" not in page
    assert "@import" not in page
    policy = next(a["content"] for tag, a in reader.elements if a.get("http-equiv"))
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


def test_html_marks_evidence_by_code_points(tmp_path, ranked, tags):
    reader = Reader(written(tmp_path, "html", ranked, tags=tags))
    assert set(reader.texts["mark"]) == {"billed"}
    assert HOSTILE[reader.texts["blockquote"][0].index("billed") :].startswith("billed")


def test_html_shows_up_to_five_comments_that_cost_the_most(tmp_path, ranked, tags):
    reader = Reader(written(tmp_path, "html", ranked, tags=tags))
    quotes = reader.texts["blockquote"]
    assert len(quotes) == 10  # five behind the cause, five uncoded ones; the rare cause stays folded
    assert quotes[0] == HOSTILE  # a detractor, and the likeliest
    assert quotes[1] == "I was billed, the 0th time"
    assert "Lovely agent" not in quotes


def test_html_shows_comments_of_the_days_that_are_ranked(tmp_path, ranked, tags):
    days = Span("2026-04-16..2026-04-20", date(2026, 4, 16), date(2026, 4, 20))
    page = written(tmp_path, "html", ranked, tags=tags, span=days)
    assert all(f"I was <mark>billed</mark>, the {number}th time" in page for number in range(15, 20))
    assert "the 0th time" not in page
    assert "16 Apr 2026 &ndash; 20 Apr 2026" in page


def test_html_marks_impacts_that_are_below_0_beyond_chance(tmp_path, ranked, tags):
    (cause,) = (row for row in ranked[0].rows if row.code == CHARGE)
    assert cause.impact.flagged
    page = written(tmp_path, "html", ranked, tags=tags)
    assert f"({interval(cause.impact.low, cause.impact.high)}) *</td>" in page
    assert "below 0 beyond chance" in page


def test_html_takes_the_latest_of_a_response(tmp_path, rows, ranked):
    path = tmp_path / "tags.jsonl"
    write_tags([*rows, tagged("hostile", 0, "I was billed, in short", [CHARGE], probability=1.0)], path)
    quotes = Reader(written(tmp_path, "html", ranked, tags=path)).texts["blockquote"]
    assert HOSTILE not in quotes
    assert quotes[0] == "I was billed, in short"


def test_html_leads_with_tiers_and_keeps_buckets(tmp_path, ranked, tags):
    page = written(tmp_path, "html", ranked, tags=tags, labels={CHARGE: "A charge & a half"})
    assert "Tier 1:" in page
    assert "A charge &amp; a half" in page
    assert "Mentioned by fewer than 5 people" in page
    for text in ("Without a cause", "No reason code", "No comment", "associated with"):
        assert text in page


def test_html_without_a_score_says_so(tmp_path):
    nothing = rank_root_causes(ScoredResponses.from_tagged([], NPS))
    page = written(tmp_path, "html", (nothing, {}), by=None)
    assert "nothing to rank" in page


def test_html_of_a_scale_without_passives(tmp_path):
    responses = random_responses(1, 400, scale=CSAT5)
    page = written(tmp_path, "html", (rank_root_causes(responses), rank_by_segment(responses, "country")))
    assert "CSAT" in page
    assert "detractors" not in page.replace("promoters and those", "")
    assert "(blank)" in page


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 300))
def test_what_html_shows_adds_up_to_the_tenth(tmp_path_factory, seed, n):
    overall = rank_root_causes(random_responses(seed, n))
    page = written(tmp_path_factory.mktemp("sum"), "html", (overall, {}), by=None)
    ledger = re.search(r'<p class="ledger">(.*?)</p>', page, re.DOTALL).group(1)
    shown = [float(text.replace("\u2212", "-")) for text in re.findall(r"<b>(.*?)</b>", ledger)]
    total = float(re.search(r"= ([\d.]+) = 100", ledger).group(1))
    value = float(re.search(r'class="value">(.*?)<', page).group(1).replace("\u2212", "-"))
    assert sum(shown) == pytest.approx(total)
    assert total == pytest.approx(100 - value)
    causes = sum(row.points_lost for row in overall.rows)
    assert shown[0] == pytest.approx(causes, abs=0.25)


# Files.


@pytest.mark.parametrize("ending", ["json", "csv", "html"])
def test_the_same_ranking_gives_the_same_bytes(tmp_path, ranked, tags, ending):
    assert written(tmp_path, ending, ranked, tags=tags) == written(tmp_path, ending, ranked, tags=tags)


@pytest.mark.parametrize("ending", ["json", "csv", "xlsx", "pptx", "html"])
def test_a_failure_leaves_the_old_report_and_nothing_else(tmp_path, ranked, ending, monkeypatch):
    output = tmp_path / f"report.{ending}"
    output.write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(InputError, match="cannot be written"):
        write_report(output, *ranked, by="region", title="April")
    assert output.read_text() == "old"
    assert os.listdir(tmp_path) == [output.name]


def test_broken_tags_leave_the_old_report(tmp_path, ranked):
    output, tags = tmp_path / "report.html", tmp_path / "tags.jsonl"
    output.write_text("old")
    tags.write_text('{"response_id": "r1", "score": 3}\n')
    with pytest.raises(InputError, match="no tags"):
        write_report(output, *ranked, by=None, title="April", tags=tags)
    assert output.read_text() == "old"


@pytest.mark.parametrize("name", ["report.pdf", "report", "report.html.gz"])
def test_another_ending_is_an_error(tmp_path, ranked, name):
    with pytest.raises(InputError, match=r"\.json, \.csv, \.xlsx, \.pptx or \.html"):
        write_report(tmp_path / name, *ranked, by=None, title="April")
    assert not os.listdir(tmp_path)


def test_a_missing_folder_is_an_error(tmp_path, ranked):
    with pytest.raises(InputError, match="cannot be written"):
        write_report(tmp_path / "nowhere" / "report.csv", *ranked, by=None, title="April")


def test_the_report_does_not_overwrite_the_tags(tmp_path, ranked, rows):
    tags = tmp_path / "tags.csv"
    write_tags(rows, tags)
    before = tags.read_bytes()
    with pytest.raises(InputError, match="overwrite"):
        write_report(tags, *ranked, by=None, title="April", tags=tags)
    assert tags.read_bytes() == before


def test_half_an_emoji_in_a_value_does_not_stop_the_report(tmp_path, ranked):
    groups = {"half \ud83d": ranked[0]}
    for ending in ("json", "csv", "html"):
        assert "half ?" in written(tmp_path, ending, (ranked[0], groups), title="odd \udce9")


# Drawing.


@given(
    st.text(max_size=40),
    st.lists(st.tuples(st.integers(-5, 50), st.integers(-5, 50)), max_size=6),
)
def test_marked_parts_are_the_comment(comment, spans):
    parts = marked(comment, [Evidence(start, end, "") for start, end in spans])
    assert "".join(text for text, _ in parts) == comment
    flags = [flag for text, flag in parts for _ in text]
    assert flags == [any(start <= i < end for start, end in spans) for i in range(len(comment))]


@given(st.floats(-300, 300), st.floats(-300, 300))
def test_an_axis_is_round_and_holds_its_values(one, other):
    low, high = sorted((one, other))
    axis = round_axis(high, low)
    assert axis.low <= min(0.0, low) + 1e-6
    assert axis.high >= max(0.0, high) - 1e-6
    assert 2 <= len(axis.ticks) <= 8
    assert any(abs(tick) < 1e-9 for tick in axis.ticks)


def test_places_on_an_axis_stay_within_it():
    axis = Axis(-100.0, 100.0)
    assert [axis.at(value) for value in (-120, -100, 0, 37.5, 130)] == ["0%", "0%", "50%", "68.75%", "100%"]
    assert axis.between(0, 50) == "25%"
    assert axis.between(50, 0) == "0%"


def test_numbers_read_as_people_write_them():
    assert [points(value) for value in (None, 0.04, -0.04, 7.25, -1234.5)] == [
        "\u2013", "0.0", "0.0", "7.2", "\u22121,234.5",
    ]  # fmt: skip
    assert [signed(value) for value in (3.14, 0.0, -3.14)] == ["+3.1", "0.0", "\u22123.1"]
    assert interval(1.0, 2.0) == "1.0\u20132.0"
    assert interval(-1.0, 2.0) == "\u22121.0 to 2.0"

import json
import math
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import InputError
from data.scale import NPS
from model.mentions import ScoredResponses
from model.periods import first_day, last_day, parse_span
from model.provenance import Provenance, Version
from model.root_causes import rank_root_causes
from model.trends import MOST_PERIODS, find_trends
from tests.random_responses import random_responses

MODELS = (Version("reason-codes/6", 1), Version("reason-codes/7", 1))


def dated(days, version=0):
    """Give where responses of these days come from; None is a response without a time."""
    ordinals = np.array([0 if day is None else day.toordinal() for day in days])
    return Provenance(ordinals, np.broadcast_to(np.asarray(version), ordinals.shape), MODELS)


def spread(seed, n, first=date(2026, 1, 1), days=70):
    rng = np.random.default_rng(seed)
    return [first + timedelta(days=int(day)) for day in rng.integers(0, days, n)]


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.sampled_from(["day", "week", "month"]), st.booleans(), st.booleans())
def test_each_period_is_the_ranking_of_its_responses(seed, by, weighted, clustered):
    responses = random_responses(seed, 60, weighted=weighted, clustered=clustered)
    days = spread(seed, 60, days=20)
    trends = find_trends(responses, dated(days), by, codes=["a", "b", "b.two", "uncoded", "no_comment"])
    for at, period in enumerate(trends.periods):
        inside = [period.start <= day.isoformat() <= period.end for day in days]
        ranking = rank_root_causes(responses.subset(inside))
        rows = {row.code: row for row in (*ranking.parents, *ranking.rows, *ranking.buckets)}
        assert period.metric == ranking.metric
        for code, points in trends.causes.items():
            point, row = points[at], rows[code]
            assert point.mentions == row.mentions
            for name in ("points_lost", "low", "high", "se"):
                assert getattr(point, name) == pytest.approx(getattr(row, name), abs=1e-9)
            empty = period.metric.n == 0, period.respondents == 1
            assert point.reason == {(True, False): "no_responses", (False, True): "one_respondent"}.get(empty)
    json.dumps(trends.to_dict(), allow_nan=False)


def test_the_causes_of_a_period_sum_to_what_the_metric_lost():
    responses = random_responses(1, 400)
    trends = find_trends(responses, dated(spread(1, 400)), "month")
    for at, period in enumerate(trends.periods):
        lost = math.fsum(points[at].points_lost for points in trends.causes.values())
        assert lost == pytest.approx(100 - period.metric.value, abs=1e-9)


def test_empty_periods_are_null_and_the_ends_may_be_partial():
    days = [date(2026, 4, 8)] * 20 + [date(2026, 4, 27)] * 20 + [date(2026, 5, 2)] * 20
    responses = random_responses(2, 60)
    trends = find_trends(responses, dated(days), "week", codes=["a.one"])
    assert [p.start for p in trends.periods] == ["2026-04-06", "2026-04-13", "2026-04-20", "2026-04-27"]
    assert [p.end for p in trends.periods][-1] == "2026-05-03"
    assert [p.partial for p in trends.periods] == [True, False, False, True]
    assert [p.responses for p in trends.periods] == [20, 0, 0, 40]
    assert [point.reason for point in trends.causes["a.one"]] == [None, "no_responses", "no_responses", None]
    assert trends.causes["a.one"][1].points_lost is None
    assert trends.periods[1].metric.value is None
    assert "The week of 2026-04-27 is not whole in the data." in trends.notes
    whole = find_trends(responses, dated([date(2026, 4, 6)] * 30 + [date(2026, 4, 12)] * 30), "week")
    assert not whole.periods[0].partial


def test_a_span_narrows_the_days():
    responses = random_responses(3, 200)
    days = spread(3, 200)
    trends = find_trends(responses, dated(days), "week", span=parse_span("2026-01-14..2026-02-01"))
    assert (trends.periods[0].start, trends.periods[-1].end) == ("2026-01-12", "2026-02-01")
    assert trends.periods[0].partial
    assert sum(p.responses for p in trends.periods) == sum(
        date(2026, 1, 14) <= day <= date(2026, 2, 1) for day in days
    )
    with pytest.raises(InputError, match="within '2031'"):
        find_trends(responses, dated(days), span=parse_span("2031"))


def test_a_period_of_two_models_has_no_figures_and_a_change_of_models_is_said():
    days = [date(2026, 1, 5)] * 40 + [date(2026, 1, 12)] * 40 + [date(2026, 1, 19)] * 40
    version = np.r_[np.zeros(60, int), np.ones(60, int)]
    responses = random_responses(4, 120)
    trends = find_trends(responses, dated(days, version), codes=["a.one", "no_comment"])
    assert [point.reason for point in trends.causes["a.one"]] == [None, "mixed_versions", None]
    assert all(point.reason is None for point in trends.causes["no_comment"])
    assert trends.periods[1].versions == tuple(map(str, MODELS))
    assert any(note.startswith("Two models tagged the week of 2026-01-12") for note in trends.notes)
    assert any(note.startswith("From 2026-01-19 on the tags are by") for note in trends.notes)


def test_responses_without_a_time_are_left_out_and_said():
    days = [*spread(5, 90), *[None] * 10]
    trends = find_trends(random_responses(5, 100), dated(days))
    assert sum(period.responses for period in trends.periods) == 90
    assert "10 responses have no time and are left out." in trends.notes


def test_what_cannot_be_followed_is_said():
    responses = random_responses(6, 100)
    with pytest.raises(InputError, match="no scored response has a time, so"):
        find_trends(responses, dated([None] * 100))
    far = [date(1970, 1, 1), *[date(2026, 1, 1)] * 99]
    with pytest.raises(InputError, match=f"more than {MOST_PERIODS} days from 1970-01-01 to 2026-01-01"):
        find_trends(responses, dated(far), "day")
    with pytest.raises(InputError, match="no scored response mentions the code 'z'$"):
        find_trends(responses, dated(spread(6, 100)), codes=["z"])
    with pytest.raises(InputError, match="the code 'uncodet'; did you mean 'uncoded'"):
        find_trends(responses, dated(spread(6, 100)), codes=["uncodet"])
    few = ScoredResponses.from_arrays(NPS, [3] * 100, ["z"], ([0, 1, 2, 3], [0] * 4))
    with pytest.raises(InputError, match="'z' is mentioned by fewer than 5 people"):
        find_trends(few, dated(spread(6, 100)), codes=["z"])
    assert list(find_trends(few, dated(spread(6, 100))).causes) == ["uncoded", "no_comment"]


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026", "2026-01-01", "2026-12-31"),
        ("2024-Q1", "2024-01-01", "2024-03-31"),
        ("2026-Q4", "2026-10-01", "2026-12-31"),
        ("2024-02", "2024-02-01", "2024-02-29"),
        ("2026-W01", "2025-12-29", "2026-01-04"),
        ("2026-04-06", "2026-04-06", "2026-04-06"),
        (" 2026-04-06..2026-05-03 ", "2026-04-06", "2026-05-03"),
        ("2025-12..2026-Q1", "2025-12-01", "2026-03-31"),
        ("9999-12", "9999-12-01", "9999-12-31"),
    ],
)
def test_a_period_is_read_from_its_name(text, first, last):
    span = parse_span(text)
    assert (span.first.isoformat(), span.last.isoformat()) == (first, last)
    assert span.name == text.strip()


@pytest.mark.parametrize(
    "text", ["", "January", "2026-13", "2026-02-30", "2026-W60", "2026-Q5", "0000", "2026-1", "..", "2026.."]
)
def test_what_is_no_period_is_said_in_a_sentence(text):
    with pytest.raises(InputError, match="is not a period such as 2026-04"):
        parse_span(text)


def test_a_period_that_ends_before_it_starts_is_said():
    with pytest.raises(InputError, match=r"'2026-05\.\.2026-04' ends before it starts"):
        parse_span("2026-05..2026-04")


@given(st.dates(), st.sampled_from(["day", "week", "month"]))
def test_a_day_lies_in_its_period(day, unit):
    first, last = first_day(day, unit), last_day(day, unit)
    assert first <= day <= last
    assert (last - first).days + 1 <= {"day": 1, "week": 7, "month": 31}[unit]
    if last < date.max:
        assert first_day(last + timedelta(days=1), unit) == last + timedelta(days=1)


def test_days_are_those_of_utc():
    from model.periods import day_of, month_of, week_of

    moment = datetime.fromisoformat("2026-03-01T00:30:00+02:00")
    assert day_of(moment) == date(2026, 2, 28)
    assert (week_of(moment), month_of(moment)) == ("2026-02-23", "2026-02")
    assert day_of(datetime(2026, 3, 1, tzinfo=UTC)) == date(2026, 3, 1)

from datetime import date, timedelta

import numpy as np
import pytest

from data.scale import NPS
from model.mentions import ScoredResponses
from model.provenance import Provenance, Version
from model.root_causes import rank_root_causes
from serving.trend import MOST_PERIODS, Trend


def dated(days, **more):
    n = len(days)
    mondays = [day - timedelta(days=day.weekday()) if day else None for day in days]
    segments = {
        "week": np.array([day.isoformat() if day else "" for day in mondays], dtype=object),
        "month": np.array([f"{day:%Y-%m}" if day else "" for day in days], dtype=object),
    }
    return ScoredResponses.from_arrays(
        NPS, np.arange(n) % 11, ["a"], (np.arange(0, n, 2), np.zeros(len(range(0, n, 2)), dtype=int)),
        segments=segments | more,
    )  # fmt: skip


def every_day(count):
    return [date(2026, 1, 1) + timedelta(days=place) for place in range(count)]


def test_weeks_are_drawn_until_they_are_many():
    assert Trend.of(dated(every_day(90))).period == "week"
    trend = Trend.of(dated(every_day(300)))
    assert trend.period == "month"
    assert list(trend.rankings) == [f"2026-{month:02d}" for month in range(1, 11)]
    assert len(Trend.of(dated(every_day(1500))).rankings) == MOST_PERIODS


def test_each_period_is_ranked_by_itself():
    responses = dated([*every_day(70), None, None])
    trend = Trend.of(responses)
    assert sum(ranking.n_scored for ranking in trend.rankings.values()) == 70
    first = responses.subset(responses.segments["week"] == "2025-12-29")
    assert trend.rankings["2025-12-29"].metric == rank_root_causes(first).metric
    assert [value for value, _ in trend.of_cause("a")] == list(trend.rankings)
    assert trend.of_cause("b") == []


def test_a_period_that_two_models_tagged_has_no_figures_of_causes():
    days = every_day(60)
    responses = dated(days)
    numbers = np.array([day.toordinal() for day in days])
    version = np.arange(60) // 30  # from 31 January, a Saturday, on
    known = Provenance(numbers, version, (Version("m/1", 1), Version("m/2", 1)))
    trend = Trend.of(responses, provenance=known)
    assert trend.versions["2026-01-19"] == ("m/1 (taxonomy 1)",)
    assert [value for value in trend.rankings if trend.is_mixed(value)] == ["2026-01-26"]
    assert "2026-01-26" not in [value for value, _ in trend.of_cause("a")]
    assert len(trend.of_cause("a")) == len(trend.rankings) - 1
    first, *others = trend.notes()
    assert first == "Two models tagged the week of 2026-01-26, so causes have no figure there."
    assert [note[:40] for note in others] == [
        "From 2026-01-26 on the tags are by m/1 (",
        "From 2026-02-02 on the tags are by m/2 (",
    ]
    assert Trend.of(responses).notes() == []


@pytest.mark.parametrize("days", [[], every_day(3), [None] * 5])
def test_one_period_is_no_trend(days):
    assert Trend.of(dated(days)) is None


def test_a_column_that_only_is_called_week_is_none():
    odd = np.array([f"W{place % 9}" for place in range(60)], dtype=object)
    assert Trend.of(dated(every_day(60), week=odd)).period == "month"

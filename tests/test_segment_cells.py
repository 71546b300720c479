import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import InputError
from data.scale import NPS
from model.mentions import ScoredResponses
from model.root_causes import rank_by_segment, rank_root_causes
from model.segment_cells import MOST_VALUES, PULLS, _widening, segment_cells
from tests.random_responses import random_responses


def shops(counts, sizes, score=3, **more):
    """Give responses of shops, the first so many of each mentioning a code; scores alike."""
    shop = np.repeat([f"s{place}" for place in range(len(sizes))], sizes).astype(object)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    rows = np.concatenate(
        [np.arange(start, start + count) for start, count in zip(starts, counts, strict=True)]
    )
    return ScoredResponses.from_arrays(
        NPS, np.full(sum(sizes), score), ["a"], (rows, np.zeros(rows.size, dtype=int)),
        segments={"shop": shop}, **more,
    )  # fmt: skip


def test_cells_are_those_of_the_rankings_and_lean_on_the_whole():
    responses = random_responses(1, 800, weighted=True, clustered=True)
    cells, whole = segment_cells(responses, "country"), rank_root_causes(responses)
    lost = {row.code: row.points_lost for row in whole.rows}
    groups = rank_by_segment(responses, "country")
    assert {row.value for row in cells.rows} == {"", "fr", "nl"}
    for row in cells.rows:
        own = next(cause for cause in groups[row.value].rows if cause.code == row.code)
        assert row.points_lost == pytest.approx(own.points_lost)
        assert (row.mentions, row.respondents) == (own.mentions, own.respondents)
        assert row.overall == pytest.approx(lost[row.code])
        assert (
            min(row.points_lost, row.overall) - 0.3 <= row.shrunk <= max(row.points_lost, row.overall) + 0.3
        )
        assert 0 <= row.low <= row.shrunk <= row.high
        assert 0 < row.pull < 1
    assert cells.of("flat", "fr").code == "flat"
    assert cells.of("nothing", "fr") is None
    assert "shrunk" in cells.note


def test_the_fewer_the_mentions_the_more_a_cell_is_shrunk():
    cells = segment_cells(shops([60, 6, 60, 6, 30, 3], [300, 30, 600, 60, 300, 30]), "shop")
    pulls = {row.value: row.pull for row in cells.rows}
    assert pulls["s0"] < pulls["s1"]
    assert pulls["s2"] < pulls["s3"]
    assert pulls["s4"] < pulls["s5"]


def test_cells_that_differ_by_chance_alone_are_shrunk_far():
    rng = np.random.default_rng(2)
    sizes = [100] * 30
    alike = segment_cells(shops(rng.binomial(100, 0.1, 30), sizes), "shop")
    unlike = segment_cells(shops(np.tile([2, 18], 15), sizes), "shop")
    assert np.mean([row.pull for row in alike.rows]) > 0.7
    assert np.mean([row.pull for row in unlike.rows]) < 0.3
    raw, shrunk = (np.array([getattr(row, name) for row in alike.rows]) for name in ("points_lost", "shrunk"))
    truth = 20.0
    assert np.mean((shrunk - truth) ** 2) < 0.3 * np.mean((raw - truth) ** 2)


def test_one_value_is_its_own_whole():
    (row,) = segment_cells(shops([20], [100]), "shop").rows
    assert row.points_lost == row.overall == pytest.approx(40.0)
    assert row.shrunk == pytest.approx(40.0, abs=1.0)


def test_a_scale_of_weights_changes_nothing():
    light = shops([10, 5, 2], [50, 50, 50], weight=np.tile([1.0, 2.0, 3.0], 50))
    heavy = shops([10, 5, 2], [50, 50, 50], weight=np.tile([10.0, 20.0, 30.0], 50))
    for one, other in zip(segment_cells(light, "shop").rows, segment_cells(heavy, "shop").rows, strict=True):
        assert one.shrunk == pytest.approx(other.shrunk)
        assert one.low == pytest.approx(other.low)


def test_answers_of_the_same_people_are_shrunk_more():
    apart = segment_cells(shops([12, 4, 8], [40, 40, 40]), "shop")
    person = np.arange(120) // 4
    together = segment_cells(shops([12, 4, 8], [40, 40, 40], respondent=person), "shop")
    assert not together.rows or all(
        one.pull < other.pull for one, other in zip(apart.rows, together.rows, strict=True)
    )


def test_a_level_of_less_gives_shorter_intervals():
    responses = shops([10, 5, 20], [100, 100, 100])
    for wide, short in zip(
        segment_cells(responses, "shop").rows, segment_cells(responses, "shop", level=0.8).rows, strict=True
    ):
        assert wide.low < short.low <= short.shrunk <= short.high < wide.high


def test_periods_and_segments_of_many_values_are_not_shrunk():
    responses = shops([12, 4, 8], [40, 40, 40])
    weekly = ScoredResponses(**{**vars(responses), "segments": {"week": responses.segments["shop"]}})
    assert segment_cells(weekly, "week").reason == "periods"
    many = np.arange(120).astype(str).astype(object)
    wide = ScoredResponses(**{**vars(responses), "segments": {"shop": np.tile(many, 1)}})
    assert segment_cells(wide, "shop").reason == "no_eligible_code"  # each value has one person
    more = shops([1] * (MOST_VALUES + 1), [5] * (MOST_VALUES + 1))
    found = segment_cells(more, "shop")
    assert (found.rows, found.reason) == ((), "too_many_values")
    assert f"'shop' has more than {MOST_VALUES} values" in found.note
    assert segment_cells(responses, "shop").reason is None


def test_rare_codes_and_rare_values_are_no_cells():
    assert segment_cells(shops([9], [200]), "shop").rows == ()
    assert {row.value for row in segment_cells(shops([12, 2], [200, 4]), "shop").rows} == {"s0"}
    assert segment_cells(shops([12], [200], score=10), "shop").rows == ()
    with pytest.raises(InputError, match="no segment 'land'"):
        segment_cells(shops([9], [200]), "land")


@pytest.mark.parametrize("pull", [0.2, 0.5, 0.8])
def test_widened_intervals_hold_on_average_under_the_worst_law(pull):
    rng = np.random.default_rng(0)
    w = 1.0 - pull
    variance = w / pull  # of the cells about the whole, where the noise has 1
    width = 1.959964 * w**0.5 * np.interp(pull, PULLS, _widening(0.95))
    for far in (1.0, 2.0, 4.0, 8.0, 16.0):
        share = min(1.0, 1.0 / far)
        truth = np.where(rng.random(200_000) < share, np.sqrt(variance / share), 0.0)
        truth *= rng.choice([-1.0, 1.0], truth.size)
        shrunk = w * (truth + rng.normal(size=truth.size))
        assert (np.abs(shrunk - truth) <= width).mean() > 0.948


@settings(max_examples=30)
@given(seed=st.integers(0, 500), n=st.integers(1, 200))
def test_every_cell_has_finite_figures(seed, n):
    responses = random_responses(seed, n, weighted=bool(seed % 2), clustered=bool(seed % 3))
    for row in segment_cells(responses, "country").rows:
        figures = [row.points_lost, row.shrunk, row.low, row.high, row.pull]
        assert np.isfinite(figures).all()
        assert row.low <= row.shrunk <= row.high

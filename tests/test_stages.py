"""Stages of the sample: shares kept for every factor, fixed comments made up for, swaps that cost nothing."""

from collections import Counter
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.sample.stages import STAGES, balanced_stages, exchange, most_crowded, unlikely_stages

HALVES = {"early": 1, "late": 1}
FACTORS = st.lists(st.lists(st.sampled_from("abcdef"), unique=True, max_size=4), max_size=60)


def test_shares_are_per_cent():
    assert sum(STAGES.values()) == 100


@given(size=st.integers(1, 300))
def test_one_factor_comes_within_one_comment_of_its_shares(size):
    counts = Counter(balanced_stages([["a"]] * size, STAGES, {}))
    for stage, percent in STAGES.items():
        assert counts[stage] == pytest.approx(size * percent / 100, abs=1)


def test_several_factors_a_comment_stay_near_their_shares():
    rng = Random(1)
    factors = [[f for f in "abcdefgh" if rng.random() < 0.25] for _ in range(600)]
    stages = balanced_stages(factors, STAGES, {})
    for factor in "abcdefgh":
        held = [stage for stage, of_one in zip(stages, factors, strict=True) if factor in of_one]
        for stage, percent in STAGES.items():
            assert held.count(stage) == pytest.approx(len(held) * percent / 100, abs=2)


def test_what_fixed_comments_bring_to_a_stage_is_made_up_for():
    factors = [["a", "b"]] * 10 + [["a"]] * 30
    stages = balanced_stages(factors, HALVES, dict.fromkeys(range(10), ("early",)))
    assert stages[:10] == ["early"] * 10
    assert stages.count("early") == 20


def test_the_members_whose_factors_are_over_their_share_are_picked():
    half = Fraction(1, 2)
    factors = [["a"], ["b"], ["b", "c"], ["a"], ["a"], ["a"], ["c"], ["c"], ["c"]]
    # A half of all of b would be 1, and 2 are there; of a and c there are too few.
    assert most_crowded(factors, [0, 1, 2], half, 1) == [1]
    assert sorted(most_crowded(factors, [0, 1, 2], half / 2, 2)) == [1, 2]
    assert most_crowded(factors, [0, 1, 2], half, 0) == []


def test_words_and_the_part_of_the_journey_speak_against_stages():
    assert "Leaving" in unlikely_stages("join", "Easy.")
    assert "Renewal" in unlikely_stages("use", "I have only been with you a few weeks")
    assert "Joining" in unlikely_stages("use", "Twenty YEARS a customer")
    assert unlikely_stages("use", "Too dear.") == ()


def test_comments_alike_swap_stages_that_suit_them_better():
    unlikely = [("late",), (), ("early",)]
    assert exchange(["late", "late", "early"], [["a"]] * 3, unlikely) == ["early", "late", "late"]
    assert exchange(["late", "late", "early"], [["a"], ["a"], ["b"]], unlikely) == ["late", "late", "early"]


@given(FACTORS, st.randoms(use_true_random=False))
def test_swaps_change_no_count_and_suit_no_worse(factors, rng):
    stages = [rng.choice(["early", "late"]) for _ in factors]
    unlikely = [rng.choice([(), ("early",), ("late",)]) for _ in factors]
    swapped = exchange(stages, factors, unlikely)

    def count(of):
        return Counter((tuple(f), stage) for f, stage in zip(factors, of, strict=True))

    def clashes(of):
        return sum(stage in against for stage, against in zip(of, unlikely, strict=True))

    assert count(swapped) == count(stages)
    assert clashes(swapped) <= clashes(stages)

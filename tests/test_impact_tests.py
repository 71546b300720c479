"""Impacts below 0 beyond chance: flagged where they are, and seldom where they are not."""

import numpy as np
import pytest
from scipy import stats

from data.scale import NPS
from model.impact_tests import IMPACT_Q
from model.mentions import ScoredResponses
from model.root_causes import rank_root_causes


def survey(rng, n, harms, share=0.08):
    """Give answers in which a mention of a code shifts the score by its harm."""
    mentioned = rng.random((n, len(harms))) < share
    score = np.clip(np.round(rng.normal(8, 2, n) - mentioned @ np.array(harms)), 0, 10)
    rows, codes = np.nonzero(mentioned)
    return ScoredResponses.from_arrays(NPS, score, [f"c{i:02}" for i in range(len(harms))], (rows, codes))


def test_what_lowers_the_metric_is_flagged_and_what_raises_it_is_not():
    ranking = rank_root_causes(survey(np.random.default_rng(1), 3000, [4, 3, 0, -3]))
    found = {row.code: row.impact for row in ranking.rows}
    assert {code for code, impact in found.items() if impact.flagged} == {"c00", "c01"}
    assert found["c03"].value > 0
    assert (found["c03"].p_value, found["c03"].q_value) == (1.0, 1.0)
    assert "beyond chance" in " ".join(ranking.notes)


def test_the_test_is_that_of_the_interval_under_benjamini_yekutieli():
    ranking = rank_root_causes(survey(np.random.default_rng(2), 900, [1, 0.5, 0, 0, 0.2]))
    impacts = [row.impact for row in ranking.rows]
    p = np.array([impact.p_value for impact in impacts])
    below = [impact for impact in impacts if impact.value < 0]
    assert below
    for impact in below:
        freedom = ranking.metric.respondents - 1
        assert impact.p_value == pytest.approx(2 * stats.t.sf(abs(impact.value) / impact.se, freedom))
        assert (impact.high < 0) == (impact.p_value < 0.05)
    wanted = stats.false_discovery_control(p, method="by")
    assert [impact.q_value for impact in impacts] == pytest.approx(wanted.tolist())
    assert [impact.flagged for impact in impacts] == (wanted <= IMPACT_Q).tolist()


def test_where_nothing_lowers_the_metric_hardly_anything_is_flagged():
    rng = np.random.default_rng(3)
    flagged = [
        any(row.impact.flagged for row in rank_root_causes(survey(rng, 400, [0] * 12)).rows)
        for _ in range(200)
    ]
    assert np.mean(flagged) <= IMPACT_Q


def test_rare_codes_and_buckets_are_not_tested():
    rng = np.random.default_rng(4)
    ranking = rank_root_causes(survey(rng, 300, [5, 5], share=0.015))
    rows = [*(row for row in ranking.rows if row.status != "eligible"), *ranking.buckets]
    assert len(rows) > 2
    assert {(row.impact.p_value, row.impact.flagged) for row in rows} == {(None, False)}

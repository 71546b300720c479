import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import InputError
from data.scale import CSAT5, NPS
from model.audit_sample import POSITIVES, allocate, auditable, draw_audit
from model.mentions import ScoredResponses
from tests.random_responses import random_responses


@st.composite
def strata(draw):
    sizes = draw(st.lists(st.integers(1, 500), min_size=1, max_size=40))
    mass = draw(st.lists(st.floats(1e-3, 1e6), min_size=len(sizes), max_size=len(sizes)))
    floors = draw(st.lists(st.floats(0, 20), min_size=len(sizes), max_size=len(sizes)))
    return np.array(sizes), np.array(mass), np.array(floors), draw(st.integers(len(sizes), sum(sizes)))


@settings(max_examples=80, deadline=None)
@given(strata())
def test_every_stratum_gets_a_row_and_the_sample_its_size(found):
    sizes, mass, floors, total = found
    given_ = allocate(sizes, mass, floors, total)
    assert given_.sum() == total
    assert (given_ >= 1).all()
    assert (given_ <= sizes).all()


def test_what_is_worth_more_gets_more():
    assert allocate(np.array([1000, 1000, 1000]), np.array([2.0, 1.0, 1.0]), np.zeros(3), 400).tolist() == [
        200,
        100,
        100,
    ]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(60, 300),
    size=st.integers(30, 400),
    scale=st.sampled_from([NPS, CSAT5]),
    weighted=st.booleans(),
)
def test_a_sample_holds_drawn_shares_of_strata(seed, n, size, scale, weighted):
    responses = random_responses(seed, n, scale=scale, weighted=weighted)
    frame = auditable(responses)
    drawn = draw_audit(responses, size, seed=seed)
    assert drawn.rows.size == min(size, frame.sum())
    assert np.unique(drawn.rows).size == drawn.rows.size
    assert frame[drawn.rows].all()
    assert ((drawn.probability > 0) & (drawn.probability <= 1)).all()
    # One probability for each stratum, and the strata make up the frame.
    total = 0.0
    for stratum in np.unique(drawn.stratum):
        own = drawn.probability[drawn.stratum == stratum]
        assert np.unique(own).size == 1
        total += own.size / own[0]
    assert total == pytest.approx(frame.sum())


def test_on_average_a_sample_weighs_what_the_frame_does():
    responses = random_responses(1, 400, weighted=True)
    frame = auditable(responses)
    values = responses.weight * responses.loss * frame
    found = []
    for seed in range(200):
        drawn = draw_audit(responses, 60, seed=seed)
        found.append((values[drawn.rows] / drawn.probability).sum())
    error = np.std(found) / np.sqrt(len(found))
    assert np.mean(found) == pytest.approx(values.sum(), abs=4 * error)


def survey():
    """Give 3,000 responses with one common code, one rare code among detractors, and promoters."""
    score = np.array([0] * 1000 + [7] * 1000 + [10] * 1000)
    common, rare = np.arange(0, 2000, 4), np.arange(1, 80, 4)
    rows, codes = np.concatenate([common, rare]), [0] * common.size + [1] * rare.size
    return ScoredResponses.from_arrays(NPS, score, ("common", "rare"), (rows, codes), commented=[True] * 3000)


def test_rare_codes_are_seen_to_and_promoters_are_seldom_drawn():
    responses = survey()
    drawn = draw_audit(responses, 300)
    rare = np.isin(drawn.rows, responses.mention_rows[responses.mention_codes == 1])
    assert rare.sum() >= POSITIVES
    best = responses.loss[drawn.rows] == 0
    assert 1 <= best.sum() < 30
    assert (responses.loss[drawn.rows] == 2).sum() > (responses.loss[drawn.rows] == 1).sum()


def test_a_comment_with_several_codes_belongs_to_its_rarest():
    responses = ScoredResponses.from_arrays(
        NPS, [0] * 20, ("a", "b"), ([*range(20), 0], [0] * 20 + [1]), commented=[True] * 20
    )
    drawn = draw_audit(responses, 5)
    assert 0 in drawn.rows
    assert drawn.probability[drawn.rows == 0] == 1.0


def test_a_uniform_sample_has_one_stratum_and_one_probability():
    drawn = draw_audit(survey(), 300, stratify="uniform", seed=4)
    assert set(drawn.stratum) == {1}
    assert set(drawn.probability) == {0.1}


def test_the_seed_decides():
    first, again, other = (draw_audit(survey(), 300, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.rows, again.rows)
    assert set(first.rows) != set(other.rows)


def test_the_order_and_the_strata_numbers_tell_nothing():
    orders, names = [], set()
    for seed in range(30):
        drawn = draw_audit(survey(), 300, seed=seed)
        orders.append(np.corrcoef(np.arange(300), drawn.rows // 1000)[0, 1])
        names.add(int(drawn.stratum[drawn.rows >= 2000][0]))
    assert abs(np.mean(orders)) < 0.05
    assert len(names) > 2


def test_responses_without_a_comment_or_a_weight_are_never_drawn():
    responses = ScoredResponses.from_arrays(
        NPS,
        [0] * 30,
        ("a",),
        ([0], [0]),
        commented=[True] * 20 + [False] * 10,
        weight=[1.0] * 10 + [0.0] * 20,
    )
    drawn = draw_audit(responses, 1000)
    assert sorted(drawn.rows) == list(range(10))
    assert set(drawn.probability) == {1.0}


def test_too_little_to_draw_from_is_an_error():
    silent = ScoredResponses.from_arrays(NPS, [0, 10])
    with pytest.raises(InputError, match="nothing to audit"):
        draw_audit(silent, 5)
    with pytest.raises(InputError, match="below the number of strata, 6"):
        draw_audit(survey(), 4)

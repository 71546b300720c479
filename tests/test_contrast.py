"""The contrast between comments: by hand, blind to what is unknown, and lower where like lies with like."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.contrast import TEMPERATURE, contrast


def batch(means, codes, known=None):
    """Comments of one token, each state the mean; a code is mentioned negatively."""
    states = torch.tensor(means, dtype=torch.float32)[:, None]
    present = torch.zeros(len(means), 3, 3)
    for row, named in enumerate(codes):
        present[row, list(named), 0] = 1.0
    told = torch.ones(len(means), 3) if known is None else torch.tensor(known, dtype=torch.float32)
    return states, torch.ones(len(means), 1, dtype=torch.long), present, told


def test_three_comments_by_hand():
    """The first two share their only code, the third shares half of its codes with each of them."""
    means = [[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]]
    found = contrast(*batch(means, [{0}, {0}, {0, 1}]))
    near = np.array([[0, 0, -1], [0, 0, 0], [-1, 0, 0]]) / TEMPERATURE
    expected = []
    for row, alike in enumerate([[0, 1, 0.5], [1, 0, 0.5], [0.5, 0.5, 0]]):
        others = [i for i in range(3) if i != row]
        share = near[row] - np.log(np.exp(near[row, others]).sum())
        expected.append(-sum(alike[i] * share[i] for i in others) / sum(alike))
    assert float(found) == pytest.approx(np.mean(expected), rel=1e-5)


def test_nothing_shared_is_no_loss():
    assert float(contrast(*batch([[1.0, 0.0], [0.0, 1.0]], [{0}, {1}]))) == 0.0
    assert float(contrast(*batch([[1.0, 0.0]], [{0}]))) == 0.0
    assert float(contrast(*batch([[1.0, 0.0], [0.0, 1.0]], [set(), set()]))) == 0.0


def test_what_is_unknown_draws_nobody_together():
    means, codes = [[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]], [{0}, {0}, {0}]
    known = [[1, 1, 1], [0, 1, 1], [1, 1, 1]]
    without = contrast(*batch(means, [{0}, set(), {0}], known))
    assert torch.equal(contrast(*batch(means, codes, known)), without)


@given(st.integers(2, 8), st.integers(0, 2**32 - 1))
def test_it_is_never_negative_and_like_beside_like_loses_least(n, seed):
    rng = np.random.default_rng(seed)
    codes = [{int(rng.integers(2))} for _ in range(n)]
    scattered = contrast(*batch(rng.standard_normal((n, 4)).tolist(), codes))
    sorted_out = contrast(*batch([[1.0 - min(c), float(min(c)), 0, 0] for c in codes], codes))
    assert 0.0 <= float(sorted_out) <= float(scattered) + 1e-3  # orthogonal, not opposite


def test_padding_changes_nothing():
    states, mask, present, known = batch([[1.0, 0.5], [0.2, 1.0], [0.9, 0.1]], [{0}, {0, 1}, {1}])
    padded = torch.cat([states, torch.full((3, 2, 2), 7.0)], dim=1)
    longer = torch.cat([mask, torch.zeros(3, 2, dtype=torch.long)], dim=1)
    assert torch.equal(contrast(padded, longer, present, known), contrast(states, mask, present, known))

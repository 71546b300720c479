"""Two readings of a comment: nothing where they agree, else the divergence of their Bernoullis."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Bernoulli, kl_divergence

from model.network import disagreement

logit = st.floats(-6, 6)


@given(st.lists(st.tuples(logit, logit), min_size=1, max_size=6))
def test_it_is_the_divergence_both_ways(pairs):
    first, second = (
        torch.tensor(side, dtype=torch.float64)[:, None, None] for side in zip(*pairs, strict=True)
    )
    one, other = Bernoulli(logits=first), Bernoulli(logits=second)
    expected = 0.5 * (kl_divergence(one, other) + kl_divergence(other, one)).sum() / (10 * len(pairs))
    found = disagreement(first, second, torch.ones(len(pairs), 1, dtype=torch.float64))
    assert float(found) == pytest.approx(float(expected), abs=1e-9)
    assert float(disagreement(first, first, torch.ones(len(pairs), 1))) == 0.0


def test_codes_that_nobody_knew_do_not_count():
    first, second = torch.randn(4, 2, 3), torch.randn(4, 2, 3)
    known = torch.tensor([[1.0, 0.0]] * 4)
    alone = disagreement(first[:, :1], second[:, :1], known[:, :1])
    torch.testing.assert_close(disagreement(first, second, known), alone)

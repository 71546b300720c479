"""Random scored responses for the tests of the ranking rooms."""

import numpy as np

from data.scale import NPS, Scale
from model.mentions import ScoredResponses

CODES = ("a.one", "a.two", "b.one", "b.two.deep", "b.two.deeper", "flat")


def random_responses(
    seed: int,
    n: int,
    *,
    scale: Scale = NPS,
    weighted: bool = False,
    clustered: bool = False,
    codes: tuple[str, ...] = CODES,
    mentions_each: float = 1.2,
) -> ScoredResponses:
    """Give responses with several codes each, praise, silence, and weights and repeated people on request."""
    rng = np.random.default_rng(seed)
    m = rng.poisson(mentions_each * n) if n and codes else 0
    praised = m // 3
    pairs = rng.integers(0, max(1, n), m + praised), rng.integers(0, max(1, len(codes)), m + praised)
    weight = rng.exponential(50.0, n) * (rng.random(n) > 0.1) if weighted else None
    return ScoredResponses.from_arrays(
        scale,
        rng.integers(scale.low, scale.high + 1, n),
        codes,
        (pairs[0][:m], pairs[1][:m]),
        praise=(pairs[0][m:], pairs[1][m:]),
        weight=weight,
        respondent=rng.integers(0, max(1, n // 2), n) if clustered else None,
        commented=rng.random(n) < 0.5,
        segments={"country": rng.choice(["fr", "nl", ""], n).astype(object)},
    )


def dense_mentions(responses: ScoredResponses) -> np.ndarray:
    """Give the 0/1 matrix of responses times codes: too large for real data, clear for tests."""
    matrix = np.zeros((responses.n, len(responses.codes)))
    matrix[responses.mention_rows, responses.mention_codes] = 1.0
    return matrix


def dense_contributions(responses: ScoredResponses) -> np.ndarray:
    """Give l_i * 1{t in T_i} / |T_i| as a matrix of responses times codes."""
    mentions = dense_mentions(responses)
    return responses.loss[:, None] * mentions / np.maximum(1, mentions.sum(axis=1, keepdims=True))

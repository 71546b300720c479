"""Random audits for the tests of the correction: what people say of drawn responses."""

import numpy as np

from model.audited_rows import AuditedRows
from tests.random_responses import CODES, dense_mentions


def random_audit(responses, seed, *, share=0.5, codes=CODES):
    """Draw commented responses with probabilities of their own, and let people say other codes."""
    rng = np.random.default_rng(seed)
    chance = np.clip(rng.uniform(0.2, 1.8, responses.n) * share, 0.05, 1.0)
    drawn = np.flatnonzero(responses.commented & (rng.random(responses.n) < chance))
    found = rng.random((drawn.size, len(codes))) < 0.3
    return AuditedRows.from_arrays(drawn, chance[drawn], codes, np.nonzero(found))


def contributions(mentions, loss, commented):
    """Give what each response contributes to codes and buckets, shape (n, codes + 2)."""
    sizes = mentions.sum(axis=1)
    silent = np.stack([(sizes == 0) & commented, (sizes == 0) & ~commented], axis=1)
    return loss[:, None] * np.concatenate([mentions / np.maximum(1, sizes)[:, None], silent], axis=1)


def dense_corrected(responses, audited):
    """Give c* as a matrix of responses times codes and buckets, by its formula."""
    found = np.zeros((audited.rows.size, len(audited.codes)))
    found[audited.mention_rows, audited.mention_codes] = 1.0
    values = contributions(dense_mentions(responses), responses.loss, responses.commented)
    rows = audited.rows
    true = contributions(found, responses.loss[rows], responses.commented[rows])
    values[rows] += (true - values[rows]) / audited.probability[:, None]
    return values

"""The check of a model before it may answer: it reads a few comments, and its answers must be whole."""

from __future__ import annotations

import math

import numpy as np

from data.annotations import POLARITIES
from data.errors import ModelError
from data.responses import Response
from data.tags import TaggedResponse
from serving.ingest import ResponseTagger
from serving.tagging import Tagger

PROBES = (
    "Billed twice, but the agent was lovely.",
    "ok",
    "Zu teuer \U0001f621, und nobody answers the phone!!",
    "The queue was so long that I gave up. " * 40,
)
"""Short, long and with characters beyond the first plane; nobody's."""


def check_model(tagger: ResponseTagger) -> None:
    """Let a model read `PROBES`.

    Raises
    ------
    ModelError
        If it fails, or says what no model can: a probability that is none, a code that its taxonomy does
        not know, evidence that is not in the comment.
    """
    rows = tagger.tag([Response(f"probe-{i}", 5, comment) for i, comment in enumerate(PROBES)])
    if len(rows) != len(PROBES):
        raise ModelError(f"the model gives {len(rows)} answers to {len(PROBES)} comments")
    for row in rows:
        _check_row(row, tagger)
    if isinstance(tagger, Tagger):
        _check_network(tagger)


def _check_row(row: TaggedResponse, tagger: ResponseTagger) -> None:
    comment = row.response.comment or ""
    if row.status not in ("tagged", "uncoded"):
        raise ModelError("the model cannot read a comment of the check")
    for tag in row.tags:
        if tag.code not in tagger.taxonomy:
            raise ModelError(f"the model gives a code that its taxonomy does not know: {tag.code}")
        if not (math.isfinite(tag.probability) and 0 <= tag.probability <= 1):
            raise ModelError("the model gives probabilities that are none")
        if any(comment[part.start : part.end] != part.text for part in tag.evidence):
            raise ModelError("the model gives evidence that is not in the comment")


def _check_network(tagger: Tagger) -> None:
    codes = tagger.reader.description.codes
    found = tagger.reader.probabilities(list(PROBES))
    if found.shape != (len(PROBES), len(codes), len(POLARITIES)):
        raise ModelError(f"the network's answers are of shape {found.shape} for {len(codes)} codes")
    if not np.isfinite(found).all() or found.min() < 0 or found.max() > 1:
        raise ModelError("the network gives probabilities that are none")
    if not set(codes) <= set(tagger.taxonomy.active):
        raise ModelError("the network and the taxonomy of the model know other codes")

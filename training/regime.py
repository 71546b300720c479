"""How a model is made, by how much there is to learn from: definitions, few examples, or many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from data.annotations import Target

Regime = Literal["definitions", "few-shot", "full"]

LEAST = 20
"""Annotated comments below which nothing is fitted: they could not even be split."""
MANY = 1000
"""Annotated comments from which a set counts as large enough for full fine-tuning."""


@dataclass(frozen=True)
class RegimeChoice:
    """A regime, and the sentence that says why."""

    regime: Regime
    reason: str


def choose_regime(targets: Sequence[Target], codes: Sequence[str]) -> RegimeChoice:
    """Choose how to make a model.

    Parameters
    ----------
    targets
        One for each annotated comment.
    codes
        The active codes.

    Returns
    -------
    RegimeChoice
    """
    n = len(targets)
    examples = dict.fromkeys(codes, 0)
    for target in targets:
        for code in {code for code, _ in target.labels} & examples.keys():
            examples[code] += 1
    bare = sum(count == 0 for count in examples.values())
    told = (
        f"; {bare} of {len(codes)} codes have no example and are read from their definitions" if bare else ""
    )
    if n < LEAST:
        comments = "no annotated comments" if not n else f"{n} annotated comments, under {LEAST}"
        return RegimeChoice("definitions", f"{comments}: the codes are read from their definitions")
    if n < MANY:
        return RegimeChoice("few-shot", f"{n} annotated comments, under {MANY}{told}")
    return RegimeChoice("full", f"{n} annotated comments{told}")

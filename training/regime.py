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
    never = {code for code, count in examples.items() if not count}
    # Nobody could choose these; the others could, and were found to be absent.
    unknown = {code for code in never if all(code in target.unknown for target in targets)}
    told = ""
    if unknown:
        told += f"; {len(unknown)} of {len(codes)} codes came later and are read from their definitions"
    if never - unknown:
        told += f"; {len(never - unknown)} of {len(codes)} codes apply to none of them"
    if n < LEAST:
        comments = "no annotated comments" if not n else f"{n} annotated comments, under {LEAST}"
        return RegimeChoice("definitions", f"{comments}: the codes are read from their definitions")
    if n < MANY:
        return RegimeChoice("few-shot", f"{n} annotated comments, under {MANY}{told}")
    return RegimeChoice("full", f"{n} annotated comments{told}")

"""The lifecycle stages of the comments: every code alike over all stages, but for the one that is planted.

A comment often has several codes, so a stage cannot be drawn for each code by itself. Each comment in
turn gets the stage in which its codes are furthest behind their shares (minimisation), which also makes
up for the codes that the planted comments bring into theirs. Fractions are exact, so that ties are broken
alike on every machine.

References
----------
Pocock, S. J. & Simon, R. (1975). Sequential treatment assignment with balancing for prognostic factors
in the controlled clinical trial. Biometrics 31(1).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from fractions import Fraction
from itertools import combinations

Factors = Sequence[Hashable]
"""What is to be balanced of one comment: its codes, say. The comment counts once for each."""

STAGES = {"Joining": 9, "Setup": 12, "First year": 26, "Established": 34, "Renewal": 13, "Leaving": 6}
"""Per cent of all responses, in the order in which a customer comes to them."""

# What a comment speaks of, and its words, make unlikely. Only a preference: no code's spread pays for it.
_OLD_STAGES = ("Established", "Renewal", "Leaving")
_UNLIKELY_PARTS = {"join": _OLD_STAGES, "setup": ("Renewal", "Leaving"), "renewal": ("Joining", "Setup")}
_UNLIKELY_WORDS = (
    (
        r"just (joined|switched|signed)|new (customer|here)|only (been|had|joined)|early (to say|days)"
        r"|first (bill|week|month|fortnight)|few weeks",
        _OLD_STAGES,
    ),
    (r"years|decade|loyal|always been|long[- ]standing", ("Joining", "Setup", "First year")),
    (r"i'?m off|leaving|goodbye|cancell?(ed|ing)", ("Joining", "Setup")),
)


def unlikely_stages(part: str, text: str) -> tuple[str, ...]:
    """Give the stages that a comment's subject and words speak against, one as often as they do.

    Parameters
    ----------
    part
        The part of the journey that the comment speaks of: ``join``, ``setup``, ``use``, ``billing``,
        ``support`` or ``renewal``.
    text
        The comment.
    """
    found = [stages for words, stages in _UNLIKELY_WORDS if re.search(rf"\b({words})\b", text, re.I)]
    return (*_UNLIKELY_PARTS.get(part, ()), *(stage for stages in found for stage in stages))


def most_crowded(
    factors: Sequence[Factors], members: Sequence[int], share: Fraction, number: int
) -> list[int]:
    """Pick the members of a stage whose factors take up most of their share of it, one after the other.

    Parameters
    ----------
    factors
        Of every comment.
    members
        The comments already in the stage, by position.
    share
        The stage's share of each factor, between 0 and 1.
    number
        How many to pick.

    Returns
    -------
    list of int
        Positions out of `members`; without them its factors are over their shares by the least.
    """
    sizes = Counter(factor for of_one in factors for factor in of_one)
    here = Counter(factor for member in members for factor in factors[member])
    left, picked = list(members), []
    for _ in range(number):
        worst = max(
            left, key=lambda m: sum(max(Fraction(), here[f] / (share * sizes[f]) - 1) for f in factors[m])
        )
        left.remove(worst)
        picked.append(worst)
        here.subtract(factors[worst])
    return picked


def balanced_stages(
    factors: Sequence[Factors], shares: Mapping[str, int], allowed: Mapping[int, Sequence[str]]
) -> list[str]:
    """Give each comment a stage so that every factor comes as near to the stages' shares as can be.

    With one factor a comment, the counts are those of the method of Sainte-Lague.

    Parameters
    ----------
    factors
        Of every comment, in random order.
    shares
        The stages with their shares, adding up to anything.
    allowed
        By position, the comments that may not go to every stage. They are placed first, then those with
        the most factors.

    Returns
    -------
    list of str
        One stage a comment.
    """
    total = sum(shares.values())
    sizes = Counter(factor for of_one in factors for factor in of_one)
    counts: defaultdict[Hashable, Counter[str]] = defaultdict(Counter)
    chosen: dict[int, str] = {}
    order = range(len(factors))
    for one in sorted(order, key=lambda o: (len(allowed.get(o, shares)), -len(factors[o]))):

        def crowding(stage: str, of_one: Factors = factors[one]) -> Fraction:
            filled = (Fraction(2 * counts[factor][stage] + 1, 2 * sizes[factor]) for factor in of_one)
            return sum(filled, Fraction()) * total / shares[stage]

        chosen[one] = min(allowed.get(one, shares), key=crowding)
        for factor in factors[one]:
            counts[factor][chosen[one]] += 1
    return [chosen[one] for one in order]


def exchange(
    stages: Sequence[str], factors: Sequence[Factors], unlikely: Sequence[Sequence[str]]
) -> list[str]:
    """Let comments with the same factors swap stages where their words then suit better: no count changes.

    Parameters
    ----------
    stages, factors
        Of every comment.
    unlikely
        As `unlikely_stages` gives them.

    Returns
    -------
    list of str
        One stage a comment.
    """
    groups: defaultdict[Hashable, list[int]] = defaultdict(list)
    for one, of_one in enumerate(factors):
        groups[tuple(of_one)].append(one)
    held = list(stages)
    for members in groups.values():
        for one, other in combinations(members, 2):
            mine, theirs = unlikely[one], unlikely[other]
            now = mine.count(held[one]) + theirs.count(held[other])
            if mine.count(held[other]) + theirs.count(held[one]) < now:
                held[one], held[other] = held[other], held[one]
    return held

"""Comparisons across models or taxonomy versions: refused, or bridged by responses that both have tagged.

Two models find different codes in the same comments, so a change of the model looks like a change of
customers. Responses tagged by both (the overlap) tell how much of a change is the model's: the mean
difference that it makes to their contributions. That is estimated within each class of score, since a
promoter loses nothing under any model and a response without a comment has no code under any; so the overlap
may hold more detractors than the period does, as long as it is a random part of the comments of each class.

    change = effect of the model + change of customers

The loss of a response does not depend on tags, so the model's effects sum to 0 over all causes, and the
changes of customers to the change of ``100 - metric``.

References
----------
Cochran, W. (1977). Sampling Techniques, 3rd ed. Wiley. Chapters 5A (post-stratification) and 7 (difference
estimators).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from data.errors import InputError
from model.bridged_change import BridgedCause, BridgedChange
from model.comparison import Comparison
from model.contributions import ELIGIBLE
from model.explained_change import Part
from model.false_discovery import q_values
from model.hierarchy import Hierarchy
from model.loss_shares import BUCKETS, column_names
from model.mentions import ScoredResponses
from model.metric_change import MentionCounts
from model.model_effect import ModelEffect, Overlap, find_overlaps
from model.provenance import Provenance, Version

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

FEWEST_OVERLAP = 50
"""People behind the overlap's comments with a loss, from whom on a period's model effect is estimated."""


def versions_of(comparison: Comparison, provenance: Provenance) -> tuple[Version | None, Version | None]:
    """Tell what tagged each group; None for a group without a comment.

    Raises
    ------
    InputError
        If the tags of one group are by several models or taxonomy versions.
    """
    found: list[Version | None] = []
    for side, name in enumerate(comparison.names):
        mask = np.zeros(comparison.responses.n, dtype=np.bool_)
        mask[comparison.kept[comparison.side == side]] = True
        versions = provenance.versions_in(mask)
        if len(versions) > 1:
            named = ", ".join(map(str, versions[:-1])) + f" and {versions[-1]}"
            raise InputError(
                f"the tags of '{name}' are by {named}; tag its responses anew with one model to compare them"
            )
        found.append(versions[0] if versions else None)
    return found[0], found[1]


def check_one_version(comparison: Comparison, provenance: Provenance) -> None:
    """Raise `InputError` unless one model and one taxonomy version tagged both groups."""
    before, after = versions_of(comparison, provenance)
    if before is not None and after is not None and before != after:
        raise InputError(
            f"the tags of '{comparison.names[0]}' are by {before} and those of '{comparison.names[1]}' by "
            f"{after}, so a change of the model would look like a change of customers; tag both with one "
            "model, or give responses that both have tagged with --overlap"
        )


def bridge_change(
    comparison: Comparison,
    provenance: Provenance,
    overlap: ScoredResponses,
    overlap_provenance: Provenance,
    *,
    q: float = 0.10,
    level: float = 0.95,
) -> BridgedChange:
    """Part the change of each cause into the model's effect and the change of customers.

    The effect is estimated on the responses of either group that the other group's model has tagged too, and
    averaged over the groups where both have `FEWEST_OVERLAP` such people. Errors are linearised jointly
    for the change and the effect, clustered by respondent.

    Parameters
    ----------
    comparison, provenance
        The two groups, and what tagged them: one version each.
    overlap, overlap_provenance
        Responses of the groups, by their ids, as the other group's version tags them; others are left out.
    q
        The false discovery rate of the changes of customers, between 0 and 1.
    level
        The confidence level of every interval, between 0 and 1.

    Raises
    ------
    InputError
        If the versions are the same, a group mixes versions, or the overlap is too small.
    """
    before, after = versions_of(comparison, provenance)
    if before is None or after is None or before == after:
        raise InputError("one model tagged both groups, so there is no change of the model to bridge")
    hierarchy = Hierarchy.of([*comparison.responses.codes, *overlap.codes])
    found = find_overlaps(comparison, hierarchy, (before, after), overlap, overlap_provenance)
    sizes = [part.people(comparison) for part in found]
    used = [part for part, size in zip(found, sizes, strict=True) if size >= FEWEST_OVERLAP]
    if not used:
        raise InputError(
            f"of '{comparison.names[0]}' {sizes[0]} and of '{comparison.names[1]}' {sizes[1]} people with a "
            f"comment and a loss were tagged by both models; at least {FEWEST_OVERLAP} of one are needed"
        )
    estimate = ModelEffect.of(comparison, hierarchy, [part.pooled(comparison) for part in used], level)
    rows = _rows(comparison, hierarchy, estimate, q)
    leaves, parents = len(hierarchy.codes), len(hierarchy.codes) + len(BUCKETS)
    metric = comparison.metric_change(level)
    changes = [row.customer_change.points for row in rows[:parents]]
    return BridgedChange(
        scale=comparison.responses.scale.name,
        names=comparison.names,
        segment=comparison.segment,
        versions=(str(before), str(after)),
        overlap=(sizes[0], sizes[1]),
        level=level,
        q=q,
        before=comparison.metric(0, level),
        after=comparison.metric(1, level),
        metric=metric,
        rows=tuple(sorted(rows[:leaves], key=_order)),
        buckets=tuple(rows[leaves:parents]),
        parents=tuple(sorted(rows[parents:], key=_order)),
        total_check=math.fsum([*changes, metric.value or 0.0]),
        notes=tuple(_notes(comparison, used)),
    )


def _rows(comparison: Comparison, hierarchy: Hierarchy, found: ModelEffect, q: float) -> list[BridgedCause]:
    """Give every column as a row, those with too few people behind them untested."""
    counts = MentionCounts.of(comparison, hierarchy)
    names, tested = column_names(hierarchy), len(hierarchy.codes) + len(BUCKETS)
    customers = found.change - found.effect
    enough = (counts.people[:tested] >= ELIGIBLE) & (found.customer_error[:tested] > 0)
    columns = np.flatnonzero(enough)
    t = np.abs(customers[columns]) / found.customer_error[columns]
    p_values = 2.0 * stdtr(found.degrees, -t)
    tests = {
        int(column): (float(p), float(rate))
        for column, p, rate in zip(columns, p_values, q_values(p_values), strict=True)
    }
    rows = []
    for column, name in enumerate(names):
        p_value, q_value = tests.get(column, (None, None))
        reach = found.customer_reach[column], found.customer_error[column]
        row = BridgedCause(
            code=name,
            status=counts.status(hierarchy, column),
            change=float(found.change[column]),
            model_effect=Part.of(
                found.effect[column], found.effect_reach[column], found.effect_error[column]
            ),
            customer_change=Part.of(customers[column], *reach),
            p_value=p_value,
            q_value=q_value,
            flagged=q_value is not None and q_value <= q,
        )
        rows.append(row)
    return rows


def _order(row: BridgedCause) -> tuple[int, float, str]:
    group = ("eligible", "insufficient", "suppressed", "bucket").index(row.status)
    return group, -round(abs(row.customer_change.points), 9), row.code


def _notes(comparison: Comparison, used: Sequence[Overlap]) -> list[str]:
    where = " and ".join(f"'{comparison.names[part.side]}'" for part in used)
    return [
        "Points lost are associated with a cause: nothing here says what brought a change about.",
        f"The model's effect was estimated on comments of {where} that both models tagged, taken as a random "
        "part of the comments of each class of score; it sums to 0 over all causes.",
        "Where no comment of the overlap was tagged otherwise, the effect's interval is the rule of three's.",
    ]

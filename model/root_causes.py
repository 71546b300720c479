"""Ranks root causes: the points of a metric that are associated with each reason code.

The base is all scored responses, promoters and those without a comment included, and the points lost
of all codes and of the buckets ``uncoded`` and ``no_comment`` sum to ``100 - metric`` exactly. Section
A is `model.points_lost`, section B `model.leave_one_out`, the order `model.rank_intervals`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from data.audits import Audit
from data.scale import Scale
from model.audit_check import checked_frame
from model.cause_figures import CauseFigures, Place
from model.cause_sums import BUCKETS, CauseSums
from model.correction import LEAST_POSITIVES, AuditedRows
from model.hierarchy import Hierarchy, depth
from model.impact_tests import IMPACT_Q, with_flags
from model.mentions import ScoredResponses
from model.metric import measure
from model.rank_intervals import rank_intervals
from model.ranking import Ranking, RootCause


def rank_root_causes(
    responses: ScoredResponses,
    *,
    codes: Sequence[str] | None = None,
    promoters_tagged: bool | None = None,
    audit: Audit | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Ranking:
    """Rank the root causes of a metric.

    Parameters
    ----------
    responses
        All scored responses, also those without a comment.
    codes
        Codes to list even where nobody mentions them, such as a taxonomy's. Mentioned codes are
        listed in any case.
    promoters_tagged
        Whether comments of the best class were tagged too, without which there is no leave-one-out
        impact. None: yes, unless such comments exist and none has a tag.
    audit
        Corrects the points lost for the model's errors (section D). It must have been drawn from these
        responses; `model.audit_check` says more about whether it fits. Where it does not, the ranking
        is uncorrected and says why.
    level
        The confidence level of every interval, between 0 and 1.
    seed
        Of the simulation behind rank intervals and tiers.
    """
    checked = None if audit is None else checked_frame(audit, responses)
    return _rank(responses, codes or (), promoters_tagged, checked, level, seed)


def _rank(
    responses: ScoredResponses,
    codes: Sequence[str],
    promoters_tagged: bool | None,
    audit: Audit | None,
    level: float,
    seed: int,
) -> Ranking:
    """Rank with an audit whose frame was checked; `responses` may be a part of it."""
    fits = audit is not None and audit.fault is None
    found = audit.codes if audit is not None and fits else ()
    sums = CauseSums.of(
        responses,
        Hierarchy.of([*responses.codes, *codes, *found]),
        AuditedRows.matched(responses, audit.chances) if audit is not None and fits else None,
    )
    return rank_from_sums(
        sums, responses.scale, promoters_tagged=promoters_tagged, audit=audit, level=level, seed=seed
    )


def rank_by_segment(
    responses: ScoredResponses,
    segment: str,
    *,
    codes: Sequence[str] | None = None,
    promoters_tagged: bool | None = None,
    audit: Audit | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Ranking]:
    """Rank the root causes within each value of a segment, as `rank_root_causes` does.

    Every ranking lists the same codes. Whether promoters were tagged is told from all responses.
    Values with few respondents get few eligible codes or none. An audit of all responses corrects the
    values in which it holds enough of them.

    Returns
    -------
    dict
        From the segment's value to its ranking, sorted; ``""`` holds responses without a value.

    Raises
    ------
    InputError
        If there is no such segment, or it has too many values to be one.
    """
    checked = None if audit is None else checked_frame(audit, responses)
    fits = checked is not None and checked.fault is None
    known = sorted(
        {*responses.codes, *(codes or ()), *(checked.codes if checked is not None and fits else ())}
    )
    if promoters_tagged is None:
        best = responses.loss == 0
        promoters_tagged = promoters_read(
            int((best & responses.commented).sum()), int((best & responses.tagged).sum())
        )
    return {
        value: _rank(part, known, promoters_tagged, checked, level, seed)
        for value, part in responses.by_segment(segment).items()
    }


def rank_from_sums(
    sums: CauseSums,
    scale: Scale,
    *,
    promoters_tagged: bool | None = None,
    audit: Audit | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Ranking:
    """Rank root causes from their sums, wherever these were computed; see `rank_root_causes`.

    What an audit adds is in ``sums.correction``; `audit` itself says whether it fits and was complete.
    """
    if promoters_tagged is None:
        promoters_tagged = promoters_read(sums.counts.promoters_commented, sums.counts.promoters_tagged)
    metric = measure(scale, sums.loss, level)
    fault = None if audit is None else audit.fault
    figures = CauseFigures.of(sums, scale, promoters_tagged, level, fault)
    places = _places(figures, level, seed)
    rows = [figures.row(column, places.get(column, Place())) for column in range(figures.lost.means.size)]
    codes = len(sums.hierarchy.codes)
    parents = codes + len(BUCKETS)
    leaves = with_flags(rows[:codes], range(codes), figures)
    buckets, above = rows[codes:parents], with_flags(rows[parents:], range(parents, len(rows)), figures)
    lost = [row.points_lost for row in (*leaves, *buckets) if row.points_lost is not None]
    counts = sums.counts
    return Ranking(
        scale=scale.name,
        metric=metric,
        level=level,
        n_scored=counts.scored,
        n_unscored=counts.unscored,
        n_commented=counts.commented,
        n_errors=counts.errors,
        base=f"All {counts.scored:,} scored responses, promoters and those without a comment included.",
        rows=tuple(sorted(leaves, key=_order)),
        buckets=tuple(buckets),
        parents=tuple(sorted(above, key=_order)),
        total_check=None if metric.value is None else math.fsum([*lost, metric.value, -100.0]),
        notes=tuple(_notes(figures, audit)),
        correction=figures.state,
    )


def promoters_read(commented: int, tagged: int) -> bool:
    """Tell whether the best class was tagged: yes, unless it has comments and none has a tag."""
    return tagged > 0 or commented == 0


def _places(figures: CauseFigures, level: float, seed: int) -> dict[int, Place]:
    """Rank the eligible codes, then the eligible parents of each depth among all causes of that depth."""
    hierarchy = figures.sums.hierarchy
    codes = range(len(hierarchy.codes))
    first = len(codes) + len(BUCKETS)
    parents = range(first, first + len(hierarchy.parents))
    places: dict[int, Place] = {}
    for level_down in sorted({depth(parent) for parent in hierarchy.parents}):
        nodes = [column for column in (*codes, *parents) if depth(figures.code(column)) == level_down]
        group = [
            column for column in nodes if column in parents or figures.code(column) not in hierarchy.parents
        ]
        places |= _ranked(figures, sorted(group, key=figures.code), level, seed)
    return places | _ranked(figures, list(codes), level, seed)


def _ranked(figures: CauseFigures, group: list[int], level: float, seed: int) -> dict[int, Place]:
    """Rank the eligible columns of a group, which is sorted by code."""
    columns = [column for column in group if figures.status(column) == "eligible"]
    people = figures.sums.loss.respondents
    covariance = figures.lost.covariance
    if figures.applied is not None:
        covariance = figures.lost.cautious_covariance(people, level)
    order = rank_intervals(
        figures.lost.means[columns],
        covariance[np.ix_(columns, columns)],
        respondents=people,
        level=level,
        seed=seed,
    )
    found = np.stack([order.rank, order.low, order.high, order.tier], axis=1).tolist()
    return {column: Place(*place) for column, place in zip(columns, found, strict=True)}


def _order(row: RootCause) -> tuple[int, int, float, str]:
    """Sort by status, then rank, then points lost (equal up to rounding error), then id."""
    group = ("eligible", "insufficient", "suppressed", "bucket").index(row.status)
    return group, row.rank or 0, -round(row.points_lost or 0.0, 9), row.code


def _notes(figures: CauseFigures, audit: Audit | None) -> list[str]:
    """Give the sentences that belong beside the figures."""
    sums, reason = figures.sums, figures.reason
    counts, loss = sums.counts, sums.loss
    notes = [
        *_correction_notes(figures, audit),
        "Points lost are associated with a cause: they do not say what a change to it would bring.",
        "A comment with several codes is split equally between them; the bracket runs from the points of "
        "comments with this code alone to the points of all comments with it.",
    ]
    if reason is None:
        notes.append(
            "The leave-one-out impact counts a comment once for each of its codes: "
            "it double-counts and does not sum. Of those that are flagged as below 0 beyond chance, "
            f"at most about {IMPACT_Q:.0%} are expected to be so by chance."
        )
    if reason == "promoters_not_tagged":
        notes.append("Comments of promoters are not tagged, so there is no leave-one-out impact.")
    if counts.unscored:
        notes.append(f"{counts.unscored:,} responses have no score and are left out.")
    if counts.errors:
        notes.append(f"{counts.errors:,} comments could not be read and count as uncoded.")
    only_praise = int(sums.praised[len(sums.hierarchy.codes)])
    if only_praise:
        notes.append(f"{only_praise:,} comments only praise and count as uncoded, since praise is no cause.")
    if counts.weightless:
        notes.append(f"{counts.weightless:,} responses have weight 0 and count for nothing.")
    if loss.respondents < loss.n:
        notes.append(
            f"{loss.n:,} responses come from {loss.respondents:,} people; intervals are clustered by person."
        )
    if loss.kish_n < loss.n * (1.0 - 1e-9):
        notes.append(
            f"Responses are weighted: {loss.n:,} are worth {loss.kish_n:,.0f} equally weighted ones."
        )
    return notes


def _correction_notes(figures: CauseFigures, audit: Audit | None) -> list[str]:
    """Say whether the figures are corrected, and what that leaves open."""
    notes = [figures.state.explanation]
    if figures.applied is None:
        return notes
    notes.append(
        f"A cause is marked uncorrected where fewer than {LEAST_POSITIVES} people mention it in the audit: "
        "its points hold its share of the correction, so that the sum stays exact, but do not settle it. "
        "A corrected value may lie below 0. Mentions and impacts stay those of the model."
    )
    if audit is not None:
        notes += audit.remarks
    if audit is not None and audit.unlabelled:
        notes.append(
            f"{audit.unlabelled:,} of {audit.design.drawn:,} drawn responses were not labelled; the labelled "
            "ones of each stratum stand for them, as if the others had been left out at random."
        )
    return notes

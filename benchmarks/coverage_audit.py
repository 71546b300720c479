"""Trials of points lost that an audit corrects for a classifier whose errors go with the score."""

from __future__ import annotations

import numpy as np
from coverage_survey import try_order, without_the_few
from populations import Population, Recipe
from tally import ENOUGH, Trials, band

from model.audit_sample import Stratify, draw_audit
from model.cause_sums import CauseSums
from model.correction import AuditedRows
from model.hierarchy import Hierarchy
from model.root_causes import rank_from_sums


class AuditStudy:
    """Samples that a classifier tagged, and an audit of each.

    Parameters
    ----------
    recipe, people
        As in `SurveyStudy`; the recipe has a classifier.
    audited
        Responses that people label.
    stratify
        How they are drawn.
    """

    def __init__(self, recipe: Recipe, people: int, audited: int, stratify: Stratify) -> None:
        self.pool, self.people = Population.of(recipe), people
        self.audited, self.stratify = audited, stratify
        pool = self.pool
        parents, within = pool.families()
        lost = pool.lost()
        self.lost = dict(zip((*pool.codes, "uncoded", "no_comment"), lost, strict=True))
        self.lost |= {
            parent: float(lost[: len(pool.codes)] @ held)
            for parent, held in zip(parents, within, strict=True)
        }
        self.bands = {code: band(pool.expected(code, people)) for code in pool.codes}
        self.bands |= dict.fromkeys(("uncoded", "no_comment"), "buckets") | dict.fromkeys(parents, "parents")
        self.hierarchy = Hierarchy.of(pool.codes)

    def replicate(self, rng: np.random.Generator) -> Trials:
        """Draw a sample and an audit, and try the corrected ranking and the one by the model alone."""
        pool, trials = self.pool, Trials()
        rows, person = pool.draw(rng, self.people)
        sample = pool.responses(rows, person, seen=True)
        drawn = draw_audit(sample, self.audited, stratify=self.stratify, seed=int(rng.integers(1 << 31)))
        people_say = pool.true.of_rows(rows[drawn.rows])
        audit = AuditedRows.from_arrays(drawn.rows, drawn.probability, pool.codes, people_say)
        ranking = rank_from_sums(CauseSums.of(sample, self.hierarchy, audit), sample.scale)
        for row in (*ranking.rows, *ranking.buckets, *ranking.parents):
            if row.respondents < ENOUGH:
                continue
            truth, name = self.lost[row.code], self.bands[row.code]
            trials.interval(f"corrected, {name}", truth, row.points_lost, row.low, row.high)
            if row.correction.status == "uncorrected":
                few = "corrected with few audited positives"
                trials.interval(few, truth, row.points_lost, row.low, row.high, "shown")
            model = row.correction.uncorrected
            alone = f"by the model alone, {name}"
            trials.interval(alone, truth, model.points_lost, model.low, model.high, "shown")
        try_order(trials, ranking, self.lost, ", corrected")
        return without_the_few(trials)

"""Trials of comparisons of two periods: changes of the metric and of causes, mix and rate, model effects."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from coverage_survey import without_the_few
from numpy.typing import NDArray
from populations import LATENT, Population, Recipe
from tally import ENOUGH, Trials, band, false_share

from model.bridge import bridge_change
from model.comparison import Comparison
from model.explained_change import CauseChange
from model.mentions import ScoredResponses
from model.metric_change import explain_change
from model.mix_and_rate import MixAndRate, mix_and_rate
from model.provenance import Provenance, Version

Floats = NDArray[np.float64]

GREW = {"plus": 1.0, "basic": 0.45}
"""What part of each plan's later answers came in, where the mix changes."""


class ComparisonStudy:
    """Samples of two periods; with several answers for each person, many answer in both.

    Parameters
    ----------
    recipe, people
        As in `SurveyStudy`.
    mix
        Whether the mix of plans changes.
    planted
        Whether a code loses more in the later period.
    """

    def __init__(self, recipe: Recipe, people: int, *, mix: bool, planted: bool) -> None:
        self.pool, self.people, self.mix, self.planted = Population.of(recipe), people, mix, planted
        pool = self.pool
        kept = np.array([GREW[plan] for plan in pool.plan]) if mix else np.ones(pool.score.size)
        self.weights = pool.weight, pool.weight * kept
        self.kept = kept
        before, after = (pool.lost(weight) for weight in self.weights)
        if planted:
            gained = pool.latent_lost(self.weights[1])[LATENT[0]]
            after[LATENT[0]] += gained
            after[len(pool.codes)] -= gained
        names = (*pool.codes, "uncoded", "no_comment")
        self.change = dict(zip(names, after - before, strict=True))
        parents, within = pool.families()
        for parent, held in zip(parents, within, strict=True):
            self.change[parent] = sum(
                self.change[code] for code, own in zip(pool.codes, held, strict=True) if own
            )
        self.metric = pool.metric(self.weights[1]) - pool.metric(self.weights[0])
        self.bands = {code: band(pool.expected(code, people)) for code in pool.codes}
        self.bands |= dict.fromkeys(("uncoded", "no_comment"), "buckets") | dict.fromkeys(parents, "parents")
        self.parts = true_mix_and_rate(pool, self.weights)

    def sample(self, rng: np.random.Generator) -> tuple[ScoredResponses, NDArray[np.bool_]]:
        """Draw a sample, and which responses are of the later period."""
        rows, person = self.pool.draw(rng, self.people)
        later = rng.random(rows.size) < 0.5
        held = ~later | (rng.random(rows.size) < self.kept[rows])
        rows, person, later = rows[held], person[held], later[held]
        shown = later & (self.pool.latent[rows] == LATENT[0]) & self.planted
        return self.pool.responses(rows, person, shown=shown, named=True), later

    def replicate(self, rng: np.random.Generator) -> Trials:
        """Draw a sample and try what a comparison shows."""
        sample, later = self.sample(rng)
        comparison, trials = Comparison.of(sample, ~later, later), Trials()
        found = explain_change(comparison)
        metric = found.metric
        trials.interval("change of the metric", self.metric, metric.value, metric.low, metric.high)
        rows = (*found.rows, *found.buckets, *found.parents)
        for row in rows:
            if min(row.respondents_before, row.respondents_after) >= ENOUGH:
                name = f"change of a cause, {self.bands[row.code]}"
                trials.interval(name, self.change[row.code], row.change, row.low, row.high)
        if not self.mix:
            self._flags([row for row in rows if row.flagged], trials)
        self._mix(mix_and_rate(comparison, "plan"), trials)
        return without_the_few(trials)

    def _flags(self, flagged: list[CauseChange], trials: Trials) -> None:
        false = sum(abs(self.change[row.code]) < 1e-9 for row in flagged)
        trials.share("causes, false among flagged", false_share(false, len(flagged)), "false share")

    def _mix(self, found: MixAndRate, trials: Trials) -> None:
        for name, part in (("mix", found.mix), ("rate", found.rate)):
            trials.interval(name, self.parts[name, None], part.points, part.low, part.high)
        for value in found.values:
            for name, part in (("mix", value.mix), ("rate", value.rate)):
                truth = self.parts[name, value.value]
                trials.interval(f"{name} of a value", truth, part.points, part.low, part.high)


def true_mix_and_rate(
    pool: Population, weights: tuple[Floats, Floats]
) -> dict[tuple[str, str | None], float]:
    """Give mix and rate over the plans, whole and of each value (Kitagawa 1955)."""
    plans = sorted(set(pool.plan))
    inside = np.array([pool.plan == plan for plan in plans])
    share = np.array([inside @ weight / weight.sum() for weight in weights])
    mean = np.array([100.0 * (inside @ (weight * pool.loss)) / (inside @ weight) for weight in weights])
    middle = (share * mean).sum(axis=1).mean()
    mix = (share[1] - share[0]) * (mean.mean(axis=0) - middle)
    rate = share.mean(axis=0) * (mean[1] - mean[0])
    found: dict[tuple[str, str | None], float] = {("mix", None): mix.sum(), ("rate", None): rate.sum()}
    for place, plan in enumerate(plans):
        found["mix", plan], found["rate", plan] = mix[place], rate[place]
    return found


class BridgeStudy:
    """Samples of two periods that two models tagged, with an overlap that both did.

    Parameters
    ----------
    recipe
        Of a population with a classifier: the earlier model finds what is there, the later one what the
        classifier finds.
    people
        As in `SurveyStudy`.
    overlap
        The share of the responses that both models tagged.
    """

    def __init__(self, recipe: Recipe, people: int, overlap: float) -> None:
        self.pool, self.people, self.overlap = Population.of(recipe), people, overlap
        pool = self.pool
        seen = np.zeros_like(pool.matrix)
        rows, codes = pool.seen.of_rows(np.arange(pool.score.size))
        seen[rows, codes] = True
        later = replace(pool, matrix=seen)
        gone = later.lost() - pool.lost()
        self.effect = dict(zip((*pool.codes, "uncoded", "no_comment"), gone, strict=True))

    def replicate(self, rng: np.random.Generator) -> Trials:
        """Draw a sample and try the model's effects and the changes of customers."""
        pool, trials = self.pool, Trials()
        rows, person = pool.draw(rng, self.people)
        later = rng.random(rows.size) < 0.5
        first = pool.responses(rows, person, named=True)
        second = pool.responses(rows, person, seen=True, named=True)
        mixed = _each(first, second, later)
        both = rng.random(rows.size) < self.overlap
        versions = (Version("old", 1), Version("new", 1))
        read = np.where(mixed.commented, later.astype(np.int64), -1)
        day = np.full(rows.size, 738000)
        other = _each(second, first, later).subset(both)
        other_read = np.where(other.commented, 1 - later[both].astype(np.int64), -1)
        bridged = bridge_change(
            Comparison.of(mixed, ~later, later),
            Provenance(day, read, versions),
            other,
            Provenance(day[both], other_read, versions),
        )
        for row in (*bridged.rows, *bridged.buckets):
            expected = pool.expected(row.code, self.people) if row.code in pool.codes else np.inf
            name = band(expected) if np.isfinite(expected) else "buckets"
            for what, part, truth in (
                ("effect of the model", row.model_effect, self.effect[row.code]),
                ("change of customers", row.customer_change, 0.0),
            ):
                trials.interval(f"{what}, {name}", truth, part.points, part.low, part.high)
        flagged = sum(row.flagged for row in (*bridged.rows, *bridged.buckets))
        trials.share("bridged causes, false among flagged", false_share(flagged, flagged), "false share")
        return without_the_few(trials)


def _each(one: ScoredResponses, two: ScoredResponses, second: NDArray[np.bool_]) -> ScoredResponses:
    """Give the same responses with the mentions of one, or where `second` says so, of the other."""
    keep, take = ~second[one.mention_rows], second[two.mention_rows]
    rows = np.concatenate([one.mention_rows[keep], two.mention_rows[take]])
    codes = np.concatenate([one.mention_codes[keep], two.mention_codes[take]])
    return one.with_mentions(one.codes, rows, codes)

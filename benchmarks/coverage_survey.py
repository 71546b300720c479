"""Trials of what one survey's ranking shows: metric, points lost, impacts, adjusted effects, ranks, tiers."""

from __future__ import annotations

import numpy as np
from populations import Population, Recipe
from tally import ENOUGH, Trials, band, true_places

from model.adjusted_effect import adjusted_effects
from model.ranking import Ranking
from model.root_causes import rank_root_causes


class SurveyStudy:
    """Samples of one size from one population.

    Parameters
    ----------
    recipe
        The population.
    people
        Drawn in each sample.
    adjusted
        Whether to try adjusted effects.
    """

    def __init__(self, recipe: Recipe, people: int, adjusted: bool = True) -> None:
        self.pool, self.people = Population.of(recipe), people
        pool = self.pool
        lost, impacts = pool.lost(), pool.impacts()
        parents, within = pool.families()
        self.lost = dict(zip((*pool.codes, "uncoded", "no_comment"), lost, strict=True))
        self.impacts = dict(zip(pool.codes, impacts, strict=True))
        for parent, held in zip(parents, within, strict=True):
            self.lost[parent] = float(lost[: len(pool.codes)] @ held)
            mentioned = pool.matrix[:, held].any(axis=1, keepdims=True)
            self.impacts[parent] = float(pool.impacts(mentioned)[0])
        self.effects = true_effects(pool) if adjusted else {}
        self.bands = {code: band(pool.expected(code, people)) for code in pool.codes}
        self.bands |= dict.fromkeys(("uncoded", "no_comment"), "buckets") | dict.fromkeys(parents, "parents")

    def replicate(self, rng: np.random.Generator) -> Trials:
        """Draw a sample, rank it, and try everything that the ranking shows."""
        sample = self.pool.responses(*self.pool.draw(rng, self.people))
        ranking, trials = rank_root_causes(sample), Trials()
        metric = ranking.metric
        trials.interval("metric", self.pool.metric(), metric.value, metric.low, metric.high)
        for row in (*ranking.rows, *ranking.buckets, *ranking.parents):
            if row.respondents < ENOUGH:
                continue
            name = self.bands[row.code]
            trials.interval(f"points lost, {name}", self.lost[row.code], row.points_lost, row.low, row.high)
            if row.code in self.impacts:
                impact = row.impact
                figures = impact.value, impact.low, impact.high
                trials.interval(f"leave-one-out impact, {name}", self.impacts[row.code], *figures)
        try_order(trials, ranking, self.lost)
        told = [self.impacts[row.code] >= 0 for row in ranking.rows if row.impact.flagged]
        trials.share("impacts, false among flagged", sum(told) / max(1, len(told)), "false share")
        if self.effects:
            for effect in adjusted_effects(sample, ranking).rows:
                name = f"adjusted effect, {self.bands[effect.code]}"
                figures = effect.value, effect.low, effect.high
                trials.interval(name, self.effects[effect.code], *figures)
        return without_the_few(trials)


def try_order(trials: Trials, ranking: Ranking, truth: dict[str, float], name: str = "") -> None:
    """Try the rank sets of all eligible codes at once, and that no tier puts a lesser cause first."""
    rows = [row for row in ranking.rows if row.tier is not None]
    if len(rows) < 2:
        return
    values = np.array([truth[row.code] for row in rows])
    best, worst = true_places(values)
    held = [
        row.rank_low is not None and row.rank_low <= first and (row.rank_high or 0) >= last
        for row, first, last in zip(rows, best, worst, strict=True)
    ]
    trials.all_at_once(f"rank sets{name}", held)
    tiers = np.array([row.tier for row in rows])
    orders = []
    for tier in np.unique(tiers)[:-1]:
        leader = next(place for place, row in enumerate(rows) if row.tier == tier)
        orders += [bool(values[leader] > other - 1e-12) for other in values[tiers > tier]]
    trials.all_at_once(f"tiers{name}", orders or [True])


def without_the_few(trials: Trials) -> Trials:
    """Let codes make no claim that ten people are not expected to mention: seen are only the lucky draws."""
    few = [key for key in trials.found if key[0].endswith(band(0))]
    for name, claim in few:
        trials.found[name, "shown"] = trials.found.pop((name, claim))
    return trials


def true_effects(pool: Population) -> dict[str, float]:
    """Give the adjusted effects in the pool, by statsmodels on the whole of it."""
    import statsmodels.api as sm

    plan = (pool.plan == "plus").astype(float)
    channels = [(pool.channel == name).astype(float) for name in ("phone", "shop")]
    design = np.column_stack([pool.matrix.astype(float), np.ones(plan.size), plan, *channels])
    fit = sm.WLS(1.0 - pool.loss, design, weights=pool.weight).fit()
    share = pool.weight @ pool.matrix / pool.weight.sum()
    return dict(zip(pool.codes, 100.0 * share * fit.params[: len(pool.codes)], strict=True))

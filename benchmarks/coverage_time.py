"""Trials of what is shown over time: changes that are found, and the points of a trend."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
from coverage_survey import without_the_few
from numpy.typing import NDArray
from populations import LATENT, Population, Recipe
from tally import ENOUGH, Trials, band, false_share

from model.changes import find_changes
from model.contrasts import gap, slope
from model.contributions import Contributions
from model.mentions import ScoredResponses
from model.provenance import Provenance, Version
from model.trends import find_trends

WEEKS = 24
FIRST = date(2026, 1, 5)
SPIKE, STEP = (8, 11), 14
"""The weeks of the spike, first and last, and the step's first week."""

WINDOWS = ((2, 5), SPIKE, (15, 20))
"""Weeks whose differences are tried as if they had been chosen beforehand."""

Floats = NDArray[np.float64]


class TimeStudy:
    """Samples whose weeks are drawn apart from everything else, but for the changes that are planted.

    Parameters
    ----------
    recipe, people
        As in `SurveyStudy`.
    planted
        Whether a spike, a step and a trend are.
    """

    def __init__(self, recipe: Recipe, people: int, planted: bool) -> None:
        self.pool, self.people = Population.of(recipe), people
        k, weeks = len(self.pool.codes), np.arange(WEEKS)
        self.chance = np.zeros((k, WEEKS))
        if planted:
            self.chance[LATENT[0]] = (weeks >= SPIKE[0]) & (weeks <= SPIKE[1])
            self.chance[LATENT[1]] = weeks >= STEP
            self.chance[LATENT[2]] = weeks / (WEEKS - 1)
        lost = self.pool.lost()
        self.buckets = lost[k:]
        self.extra = self.pool.latent_lost()[:, None] * self.chance
        self.lost = lost[:k, None] + self.extra
        self.place = {code: place for place, code in enumerate(self.pool.codes)}

    def sample(self, rng: np.random.Generator) -> tuple[ScoredResponses, NDArray[np.int64]]:
        """Draw a sample, and the week of each response."""
        rows, person = self.pool.draw(rng, self.people)
        week = rng.integers(0, WEEKS, rows.size)
        latent = self.pool.latent[rows]
        shown = (latent >= 0) & (rng.random(rows.size) < self.chance[latent, week])
        names = np.array([(FIRST + timedelta(weeks=n)).isoformat() for n in range(WEEKS)], dtype=object)
        return self.pool.responses(rows, person, {"week": names[week]}, shown=shown), week

    def replicate(self, rng: np.random.Generator) -> Trials:
        """Draw a sample and try the changes, those chosen beforehand, and the trend's points."""
        sample, week = self.sample(rng)
        trials = Trials()
        found = find_changes(sample)
        flat = [self.chance[self.place[change.code]].max() == 0 for change in found]
        trials.share("changes, false among flagged", false_share(sum(flat), len(found)), "false share")
        for change in found:
            if self.chance[self.place[change.code]].max() > 0:
                truth = self._truth(change.code, change.shape, change.start_week, change.end_week)
                figures = change.points, change.low, change.high
                trials.interval("changes that are real, as flagged", truth, *figures)
        self._beforehand(sample, week, trials)
        self._points(sample, week, trials)
        return without_the_few(trials)

    def _truth(self, code: str, shape: str, start: str, end: str | None) -> float:
        """Give the true size of a change of a shape in the given weeks; every week has as many responses."""
        series, weeks = self.lost[self.place[code]], np.arange(WEEKS)
        first = (date.fromisoformat(start) - FIRST).days // 7
        if shape == "trend":
            return float(np.polyfit(weeks, series, 1)[0] * (WEEKS - 1))
        last = WEEKS - 1 if end is None else (date.fromisoformat(end) - FIRST).days // 7
        inside = (weeks >= first) & (weeks <= last)
        return float(series[inside].mean() - series[~inside].mean())

    def _beforehand(self, sample: ScoredResponses, week: NDArray[np.int64], trials: Trials) -> None:
        contributions = Contributions.of(sample)
        weeks = week[contributions.kept]
        for place, code in enumerate(contributions.codes):
            for first, last in WINDOWS:
                found = gap(contributions, place, (weeks >= first) & (weeks <= last))
                if min(found.respondents, found.respondents_outside) >= ENOUGH:
                    start, end = ((FIRST + timedelta(weeks=n)).isoformat() for n in (first, last))
                    size, truth = found.size, self._truth(code, "spike", start, end)
                    name = f"spike known beforehand, {self._band(code, (last - first + 1) / WEEKS)}"
                    trials.interval(name, truth, size.points, size.low, size.high)
            whole = slope(contributions, place, weeks.astype(float), WEEKS - 1.0)
            name = f"trend over all weeks, {self._band(code, 1.0)}"
            trials.interval(
                name, self._truth(code, "trend", start, None), whole.points, whole.low, whole.high
            )

    def _points(self, sample: ScoredResponses, week: NDArray[np.int64], trials: Trials) -> None:
        """Try the points of a trend by weeks, of the metric too."""
        day = FIRST.toordinal() + 7 * week
        read = np.where(sample.commented, 0, -1)
        trends = find_trends(sample, Provenance(day, read, (Version("m", 1),)), "week")
        for period in trends.periods:
            metric = period.metric
            trials.interval("metric of a week", self.pool.metric(), metric.value, metric.low, metric.high)
        for code, points in trends.causes.items():
            for number, point in enumerate(points):
                if code in self.place and point.mentions >= ENOUGH:
                    name = f"points lost of a week, {self._band(code, 1 / WEEKS)}"
                    truth = self.lost[self.place[code], number]
                    trials.interval(name, truth, point.points_lost, point.low, point.high)
                elif code == "no_comment":
                    figures = point.points_lost, point.low, point.high
                    trials.interval("points lost of a week, no comment", self.buckets[1], *figures)

    def _band(self, code: str, share: float) -> str:
        return band(self.pool.expected(code, self.people) * share)

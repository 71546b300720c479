"""Trials of what is shown of segments: hotspots, differences, and a ranking of each value."""

from __future__ import annotations

import numpy as np
from coverage_survey import without_the_few
from numpy.typing import NDArray
from populations import LATENT, Population, Recipe
from tally import ENOUGH, Trials, band, false_share

from model.contrasts import gap
from model.contributions import Contributions
from model.hotspots import find_hotspots
from model.mentions import ScoredResponses
from model.root_causes import rank_by_segment
from model.segment_cells import segment_cells

REGIONS = ("north", "south", "east", "west", "coast", "isles")
SHARES = (0.3, 0.25, 0.2, 0.12, 0.08, 0.05)
PRODUCTS = ("one", "two", "three")
LIKELY = (
    (0.6, 0.2, 0.2),
    (0.2, 0.6, 0.2),
    (0.2, 0.2, 0.6),
    (0.6, 0.2, 0.2),
    (0.2, 0.6, 0.2),
    (0.2, 0.2, 0.6),
)
"""Each region's shares of products: a product goes with regions, and with nothing else."""

HOT = {LATENT[0]: "east", LATENT[1]: "coast", LATENT[2]: "south"}
"""Where the latent mentions of a code show."""


class SegmentStudy:
    """Samples whose regions are drawn apart from everything else, but for the hotspots that are planted.

    Parameters
    ----------
    recipe, people
        As in `SurveyStudy`.
    planted
        Whether hotspots are.
    """

    def __init__(self, recipe: Recipe, people: int, planted: bool) -> None:
        self.pool, self.people = Population.of(recipe), people
        self.hot = HOT if planted else {}
        k = len(self.pool.codes)
        self.lost, extra = self.pool.lost()[:k], self.pool.latent_lost()
        region = np.array(SHARES)
        joint = region[:, None] * np.array(LIKELY)
        self.values = {("region", name): _only(place, 6) for place, name in enumerate(REGIONS)}
        self.values |= {("product", name): joint[:, place] / region for place, name in enumerate(PRODUCTS)}
        self.truth: dict[tuple[str, str, str], tuple[float, float]] = {}
        for (segment, value), chance in self.values.items():
            inside, rest = region * chance, region * (1 - chance)
            for place, code in enumerate(self.pool.codes):
                shown = np.array([self.hot.get(place) == name for name in REGIONS])
                points = [
                    self.lost[place] + extra[place] * (part @ shown) / part.sum() for part in (inside, rest)
                ]
                self.truth[segment, value, code] = points[0], points[0] - points[1]

    def sample(self, rng: np.random.Generator) -> ScoredResponses:
        """Draw a sample with regions and products."""
        rows, person = self.pool.draw(rng, self.people)
        region = rng.choice(6, self.people, p=SHARES)[person]
        turn = rng.random(rows.size)[:, None]
        product = (turn > np.cumsum(LIKELY, axis=1)[region]).sum(axis=1).clip(0, 2)
        shown = np.zeros(rows.size, dtype=np.bool_)
        for code, name in self.hot.items():
            shown |= (self.pool.latent[rows] == code) & (region == REGIONS.index(name))
        segments = {
            "region": np.array(REGIONS, dtype=object)[region],
            "product": np.array(PRODUCTS, dtype=object)[product],
        }
        return self.pool.responses(rows, person, segments, shown=shown)

    def replicate(self, rng: np.random.Generator) -> Trials:
        """Draw a sample and try hotspots, differences and the values' rankings."""
        sample, trials = self.sample(rng), Trials()
        found = find_hotspots(sample)
        false = sum(self.truth[spot.segment, spot.value, spot.code][1] < 1e-9 for spot in found)
        trials.share("hotspots, false among flagged", false_share(false, len(found)), "false share")
        sizes = [self.truth[spot.segment, spot.value, spot.code][1] for spot in found]
        missed = sum(not spot.low <= size <= spot.high for spot, size in zip(found, sizes, strict=True))
        trials.share("hotspots, missed of flagged intervals", false_share(missed, len(found)), "missed share")
        for spot, size in zip(found, sizes, strict=True):
            if size > 1e-9:
                trials.interval("hotspots that are real, as flagged", size, spot.points, spot.low, spot.high)
        self._differences(sample, trials)
        for value, ranking in rank_by_segment(sample, "region").items():
            for row in ranking.rows:
                name = f"points lost in a region, {self._band(row.code, 'region', value)}"
                if row.respondents >= ENOUGH:
                    truth = self.truth["region", value, row.code][0]
                    trials.interval(name, truth, row.points_lost, row.low, row.high)
        for cell in segment_cells(sample, "region").rows:
            truth = self.truth["region", cell.value, cell.code][0]
            trials.interval("shrunken cells, on average", truth, cell.shrunk, cell.low, cell.high)
            if cell.respondents >= ENOUGH:
                name = f"shrunken cells, {self._band(cell.code, 'region', cell.value)}"
                trials.interval(name, truth, cell.shrunk, cell.low, cell.high)
        return without_the_few(trials)

    def _band(self, code: str, segment: str, value: str) -> str:
        share = float(np.array(SHARES) @ self.values[segment, value])
        return band(self.pool.expected(code, self.people) * share)

    def _differences(self, sample: ScoredResponses, trials: Trials) -> None:
        """Try the difference of every value that was chosen beforehand."""
        contributions = Contributions.of(sample)
        for segment, value in self.values:
            inside = sample.segments[segment][contributions.kept] == value
            for place, code in enumerate(contributions.codes):
                found = gap(contributions, place, inside)
                if min(found.respondents, found.respondents_outside) < ENOUGH:
                    continue
                name = f"difference of a value, {self._band(code, segment, value)}"
                size = found.size
                truth = self.truth[segment, value, code][1]
                trials.interval(name, truth, size.points, size.low, size.high)


def _only(place: int, size: int) -> NDArray[np.float64]:
    return (np.arange(size) == place).astype(np.float64)

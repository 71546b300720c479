"""Invented populations of respondents of whom every figure is known, and samples from them.

A population is a finite pool of people; a sample draws people from it with replacement, so each sample is an
independent draw from a distribution whose figures are those of the pool itself: the truth is exact, and no
second simulation stands between an interval and what it should hold.

Some answers without a code have a *latent* one: it shows only where a study says so (in a region, in some
weeks), and leaves all other causes as they are. So what is planted, and what is not, is exactly known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from data.scale import NPS, Scale
from model.mentions import ScoredResponses

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

PEOPLE = 60_000
"""In a pool: the rarest code still has hundreds of people."""

LATENT = (0, 2, 4)
"""The codes that some answers hold latently."""

LATENT_SHARE = 0.9
"""Of the comments without a code, those with a latent one."""


@dataclass(frozen=True)
class Recipe:
    """What a population is like.

    Attributes
    ----------
    scale
        Of the scores.
    prevalence
        How often each code is mentioned, among those who comment and are of middling satisfaction.
    pull
        How much likelier the dissatisfied mention each code (log odds for a standard deviation).
    harm
        Points of the 0-10 scale that a mention takes from the score.
    answers
        Most answers of one person; 1 without repeats.
    uneven
        Standard deviation of the logarithm of the weights, which go with satisfaction; 0 without weights.
    silent
        Share without a comment.
    alike
        Whether all codes are equally frequent and harmful, to the last digit: the hardest case for ranks.
    missed, imagined
        The classifier's errors: how much of the mentions it misses and how often it imagines one, at a score
        in the middle; both go with the score. 0 without a classifier.
    seed
        Of the pool.
    """

    scale: Scale = NPS
    prevalence: tuple[float, ...] = (0.18, 0.12, 0.09, 0.07, 0.05, 0.04, 0.03, 0.025, 0.02, 0.015, 0.012)
    pull: tuple[float, ...] = (0.9, 0.2, 1.2, -0.6, 0.5, 1.0, 0.0, 1.5, 0.6, -0.8, 1.0)
    harm: tuple[float, ...] = (1.5, 0.0, 2.5, 0.0, 1.0, 3.0, 0.5, 2.0, 1.0, -1.0, 2.5)
    answers: int = 1
    uneven: float = 0.0
    silent: float = 0.3
    alike: bool = False
    missed: float = 0.0
    imagined: float = 0.0
    seed: int = 1


@dataclass(frozen=True, eq=False)
class Mentions:
    """What each answer of a pool mentions: its first mention (and the number of all), and their codes."""

    start: Ints
    code: Ints

    @classmethod
    def of(cls, matrix: Bools) -> Mentions:
        """Build them from a matrix of answers and codes."""
        rows, codes = np.nonzero(matrix)
        return cls(np.searchsorted(rows, np.arange(matrix.shape[0] + 1)), codes.astype(np.int64))

    def of_rows(self, rows: Ints) -> tuple[Ints, Ints]:
        """Give pairs of a position among the rows, and a code."""
        places, owner = slices(self.start, rows)
        return owner, self.code[places]


@dataclass(frozen=True, eq=False)
class Population:
    """A pool of people, each with one answer or several.

    Attributes
    ----------
    scale, score, loss, weight, commented, plan, channel
        Of each answer; the last two are segments that go with the score, and do not.
    person_start
        The first answer of each person, and the number of answers at the end; shape (people + 1,).
    matrix
        True mentions, shape (answers, codes).
    latent
        The latent code of each answer, -1 for none.
    true, seen
        The mentions, and those that a classifier finds.
    codes
        Names, in three families.
    """

    scale: Scale
    score: Floats
    loss: Floats
    weight: Floats
    commented: Bools
    plan: NDArray[np.object_]
    channel: NDArray[np.object_]
    person_start: Ints
    matrix: Bools
    latent: Ints
    true: Mentions
    seen: Mentions
    codes: tuple[str, ...]

    @classmethod
    def of(cls, recipe: Recipe, people: int = PEOPLE) -> Population:
        """Invent a pool."""
        rng = np.random.default_rng(recipe.seed)
        k = len(recipe.prevalence)
        answers = rng.integers(1, recipe.answers + 1, people)
        starts = np.concatenate([[0], np.cumsum(answers)])
        n = int(starts[-1])
        repeats = recipe.answers > 1
        mood = np.repeat(rng.normal(size=people), answers)
        mood = 0.8 * mood + 0.6 * rng.normal(size=n) if repeats else mood
        habit = np.repeat(rng.normal(size=(people, k)), answers, axis=0) if repeats else np.zeros((1, k))
        commented = rng.random(n) >= recipe.silent
        base = np.array(recipe.prevalence)
        odds = np.log(base / (1 - base)) - mood[:, None] * np.array(recipe.pull) + habit
        matrix = (rng.random((n, k)) < 1 / (1 + np.exp(-odds))) & commented[:, None]
        plan = rng.random(n) < 1 / (1 + np.exp(-mood))
        latent_score = 7.6 + 2.2 * mood - matrix @ np.array(recipe.harm) + 0.8 * plan
        latent_score += rng.normal(scale=1.2, size=n)
        scale = recipe.scale
        unit = np.clip(latent_score / 10.0, 0.0, 1.0)
        score = np.round(scale.low + unit * (scale.high - scale.low))
        weight = np.exp(recipe.uneven * (0.8 * rng.normal(size=n) + 0.6 * mood))
        spare = commented & ~matrix.any(axis=1) & (rng.random(n) < LATENT_SHARE)
        held = [code for code in LATENT if code < k]
        latent = np.where(spare, rng.choice(held, n), -1)
        channel = rng.choice(["web", "phone", "shop"], n, p=[0.5, 0.3, 0.2])
        pool = (score, weight, commented, plan, channel, matrix, latent)
        if recipe.alike:
            starts, pool = _alike(starts, pool, k)
            score, weight, commented, plan, channel, matrix, latent = pool
        seen = _seen(rng, matrix, commented, unit, recipe) if recipe.missed else matrix
        return cls(
            scale=scale,
            score=score,
            loss=scale.loss(score),
            weight=weight,
            commented=commented,
            plan=np.where(plan, "plus", "basic").astype(object),
            channel=channel.astype(object),
            person_start=starts,
            matrix=matrix,
            latent=latent,
            true=Mentions.of(matrix),
            seen=Mentions.of(seen),
            codes=tuple(f"{'abc'[place % 3]}.{place:02d}" for place in range(k)),
        )

    @property
    def people(self) -> int:
        """People in the pool."""
        return self.person_start.size - 1

    def draw(self, rng: np.random.Generator, people: int) -> tuple[Ints, Ints]:
        """Draw people with replacement; give the answers drawn, and the person of each, shape (n,) each."""
        return slices(self.person_start, rng.integers(0, self.people, people))

    def responses(
        self,
        rows: Ints,
        person: Ints,
        segments: Mapping[str, NDArray[np.object_]] | None = None,
        *,
        shown: Bools | None = None,
        seen: bool = False,
        weight: Floats | None = None,
        named: bool = False,
    ) -> ScoredResponses:
        """Give answers as responses.

        Parameters
        ----------
        rows, person
            As `draw` gives them.
        segments
            By default the plan and the channel.
        shown
            Whose latent code shows, shape (n,).
        seen
            Whether the mentions are those that the classifier finds.
        weight
            By default the pool's.
        named
            Whether responses need ids of their own.
        """
        row, code = (self.seen if seen else self.true).of_rows(rows)
        if shown is not None:
            more = np.flatnonzero(shown & (self.latent[rows] >= 0))
            row, code = np.concatenate([row, more]), np.concatenate([code, self.latent[rows[more]]])
        own = {"plan": self.plan[rows], "channel": self.channel[rows]}
        names = np.arange(rows.size).astype(str).astype(object) if named else np.full(rows.size, "", object)
        return ScoredResponses.from_arrays(
            self.scale,
            self.score[rows],
            self.codes,
            (row, code),
            weight=self.weight[rows] if weight is None else weight,
            respondent=person,
            commented=self.commented[rows],
            segments=own if segments is None else segments,
            response_ids=names,
        )

    def shares(self) -> Floats:
        """Give each code's share of the loss of each answer, shape (answers, codes)."""
        return self.matrix / np.maximum(1, self.matrix.sum(axis=1, keepdims=True))

    def buckets(self) -> Bools:
        """Tell which answers lie in ``uncoded`` and in ``no_comment``, shape (answers, 2)."""
        silent = ~self.matrix.any(axis=1)
        return np.stack([silent & self.commented, silent & ~self.commented], axis=1)

    def lost(self, weight: Floats | None = None) -> Floats:
        """Give the true points lost to each code, then to both buckets (section A)."""
        weights = self.weight if weight is None else weight
        parts = np.concatenate([self.shares(), self.buckets()], axis=1)
        return 100.0 * (weights * self.loss) @ parts / weights.sum()

    def latent_lost(self, weight: Floats | None = None) -> Floats:
        """Give what each code would lose in addition if its latent mentions showed."""
        weights = self.weight if weight is None else weight
        held = self.latent[:, None] == np.arange(len(self.codes))
        return 100.0 * (weights * self.loss) @ held / weights.sum()

    def metric(self, weight: Floats | None = None) -> float:
        """Give the true metric."""
        weights = self.weight if weight is None else weight
        return 100.0 * (1.0 - float(weights @ self.loss) / float(weights.sum()))

    def expected(self, code: str, people: int) -> float:
        """Give how many of some drawn people are expected to mention a code."""
        return people * self.chances[code]

    @cached_property
    def chances(self) -> dict[str, float]:
        """The share of people who mention each code."""
        mentioned = np.add.reduceat(self.matrix, self.person_start[:-1], axis=0, dtype=np.int64) > 0
        return dict(zip(self.codes, mentioned.mean(axis=0).tolist(), strict=True))

    def impacts(self, mentioned: Bools | None = None) -> Floats:
        """Give the true leave-one-out impact of each code (section B), or of the given columns."""
        columns = self.matrix if mentioned is None else mentioned
        weight, y = self.weight, 1.0 - self.loss
        rest = weight.sum() - weight @ columns
        without = (float(weight @ y) - (weight * y) @ columns) / rest
        return 100.0 * (float(weight @ y) / weight.sum() - without)

    def families(self) -> tuple[list[str], Bools]:
        """Give the parents of the codes, and which codes each one holds, shape (parents, codes)."""
        parents = sorted({code[0] for code in self.codes})
        return parents, np.array([[code[0] == parent for code in self.codes] for parent in parents])


def _alike(starts: Ints, pool: tuple[NDArray, ...], k: int) -> tuple[Ints, tuple[NDArray, ...]]:
    """Repeat the people with the codes turned round once for each code, so that all codes are equal."""
    *rest, matrix, latent = pool
    n = latent.size
    turned = np.concatenate([np.roll(matrix, turn, axis=1) for turn in range(k)])
    steps = [starts[:-1] + n * turn for turn in range(k)]
    again = tuple(np.tile(values, k) for values in rest)
    return np.concatenate([*steps, [n * k]]), (*again, turned, np.tile(latent, k))


def _seen(rng: np.random.Generator, matrix: Bools, commented: Bools, unit: Floats, recipe: Recipe) -> Bools:
    """Give what a classifier finds: it misses more where the score is low, and imagines more there too."""
    tilt = np.exp(1.2 * (0.6 - unit))[:, None]
    missed = rng.random(matrix.shape) < np.minimum(0.9, recipe.missed * tilt)
    rate = recipe.imagined * np.minimum(1.0, 4 * np.array(recipe.prevalence) + 0.2)
    imagined = rng.random(matrix.shape) < np.minimum(0.5, rate * tilt)
    return ((matrix & ~missed) | (~matrix & imagined)) & commented[:, None]


def slices(starts: Ints, chosen: Ints) -> tuple[Ints, Ints]:
    """Give the positions in the chosen slices one after the other, and which slice each is from."""
    sizes = starts[chosen + 1] - starts[chosen]
    owner = np.repeat(np.arange(chosen.size), sizes)
    before = np.repeat(np.cumsum(sizes) - sizes, sizes)
    return starts[chosen][owner] + np.arange(owner.size) - before, owner

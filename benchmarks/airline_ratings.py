"""The ranking from the text of the airline reviews beside the one from the passengers' own sub-ratings.

Run: ``python benchmarks/airline_ratings.py --tags benchmarks/out/airline/tags.jsonl`` (airline.py makes the
tags). Each review has an overall score, here declared as NPS, and stars from 1 to 5 for value, ground
service, food, seat and staff (0: not rated). Both sides go through one formula, points lost: on one side a
review's aspects are those that it rates with `LOW` stars or fewer, on the other those of which its text
mentions a code of `ASPECTS`, without praise. Food has no code and is left out of both.

Hypothesis: the two orders agree (Spearman's rho above 0), and in single reviews a mention goes with a low
rating more often than by chance (Cohen's kappa above 0 in every aspect). People rate an aspect low and do not
write of it, so kappa is shown beside the greatest that these shares of mentions and of low ratings allow.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from measuring_sets import DATA, ROOT, read_csv
from numpy.typing import NDArray
from scipy.stats import spearmanr

from data.scale import NPS
from data.tags import read_tags
from model.mentions import ScoredResponses
from model.root_causes import rank_root_causes

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# Chosen from the definitions of aspects and codes, before any figure was seen. Food has no code.
ASPECTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "value": (
        "ValueRating",
        ("pricing.too-expensive", "pricing.price-increase", "pricing.discounts", "billing.unexpected-charge"),
    ),
    "ground service": (
        "GroundServiceRating",
        (
            "delivery.late",
            "delivery.damaged-or-wrong",
            "ease.effort",
            "support.reach",
            "communication.updates",
        ),
    ),
    "food": ("FoodRating", ()),
    "seat": ("SeatComfortRating", ("place.comfort-cleanliness",)),
    "staff": ("ServiceRating", ("support.attitude", "support.knowledge")),
}
LOW = 2
DRAWS = 2000
FEWEST = 30
"""Reviews of an airline from which on it counts in the comparison across airlines."""


@dataclass(frozen=True)
class Reviews:
    """Reviews with a score and tags; `stars`, `low` and `mentioned` have shape (n, aspects)."""

    names: tuple[str, ...]
    score: Floats
    airline: NDArray[np.object_]
    commented: Bools
    stars: Floats
    mentioned: Bools

    @property
    def low(self) -> Bools:
        """Whether the aspect is rated, and low."""
        low: Bools = (self.stars > 0) & (self.stars <= LOW)
        return low

    def responses(self, held: Bools) -> ScoredResponses:
        """Give the reviews as responses that mention the aspects held, of shape (n, aspects)."""
        return ScoredResponses.from_arrays(
            NPS, self.score, self.names, np.nonzero(held), commented=np.ones(self.score.size, dtype=np.bool_)
        )

    def contributions(self, held: Bools) -> Floats:
        """Give each review's loss, split over the aspects held, shape (n, aspects)."""
        loss: Floats = NPS.loss(self.score)[:, None] * held / np.maximum(1, held.sum(axis=1))[:, None]
        return loss


def read(reviews: Path, tags: Path) -> Reviews:
    """Join the reviews with their tags by id; those without a score are left out."""
    names = tuple(ASPECTS)
    by_code = {code: names.index(name) for name in names for code in ASPECTS[name][1]}
    tagged = {row.response.response_id: row for row in read_tags(tags, scale=NPS)}
    rows = [row for row in read_csv(reviews) if row["OverallScore"].strip() and row["unique_id"] in tagged]
    mentioned = np.zeros((len(rows), len(names)), dtype=np.bool_)
    for place, row in enumerate(rows):
        for tag in tagged[row["unique_id"]].tags:
            if tag.polarity != "positive" and tag.code in by_code:
                mentioned[place, by_code[tag.code]] = True
    stars = [[float(row[ASPECTS[name][0]] or 0) for name in names] for row in rows]
    return Reviews(
        names=names,
        score=np.array([float(row["OverallScore"]) for row in rows]),
        airline=np.array([row["AirlineName"] for row in rows], dtype=object),
        commented=np.array([tagged[row["unique_id"]].status != "no_comment" for row in rows], dtype=np.bool_),
        stars=np.array(stars).reshape(len(rows), len(names)),
        mentioned=mentioned,
    )


def points(reviews: Reviews, held: Bools) -> dict[str, tuple[float, float, float]]:
    """Rank the aspects with the product: points lost with their intervals."""
    ranking = rank_root_causes(reviews.responses(held))
    return {
        row.code: (row.points_lost or 0.0, row.low or 0.0, row.high or 0.0)
        for row in (*ranking.rows, ranking.buckets[0])
    }


def rho(first: Floats, second: Floats) -> float:
    """Give Spearman's rank correlation; NaN where one side does not vary."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(spearmanr(first, second).statistic)


def order_agreement(reviews: Reviews, coded: Bools, rng: np.random.Generator) -> tuple[float, float, float]:
    """Give the rank correlation over the aspects with codes, with its bootstrap interval over reviews."""
    sides = [reviews.contributions(held & coded)[:, coded] for held in (reviews.low, reviews.mentioned)]
    n = reviews.score.size
    drawn = [
        rho(*(side[rows].mean(axis=0) for side in sides))
        for rows in (rng.integers(0, n, n) for _ in range(DRAWS))
    ]
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return rho(*(side.mean(axis=0) for side in sides)), float(low), float(high)


def across_airlines(reviews: Reviews, coded: Bools, aspect: int) -> tuple[float, float, float, int]:
    """Give the rank correlation of an aspect's points lost over airlines (interval: Bonett & Wright 2000)."""
    sides = [reviews.contributions(held & coded)[:, aspect] for held in (reviews.low, reviews.mentioned)]
    kept = [name for name in sorted(set(reviews.airline)) if (reviews.airline == name).sum() >= FEWEST]
    if len(kept) < 4:
        return float("nan"), float("nan"), float("nan"), len(kept)
    means = [np.array([side[reviews.airline == name].mean() for name in kept]) for side in sides]
    found = rho(means[0], means[1])
    reach = 1.96 * ((1 + found**2 / 2) / (len(kept) - 3)) ** 0.5
    centre = np.arctanh(np.clip(found, -0.999, 0.999))
    return found, float(np.tanh(centre - reach)), float(np.tanh(centre + reach)), len(kept)


def kappa(mentioned: Bools, low: Bools, weight: Floats) -> tuple[float, float]:
    """Give Cohen's kappa, and its greatest possible value with these shares of mentions and low ratings."""
    total = weight.sum()
    one, two = weight @ mentioned / total, weight @ low / total
    agreed = weight @ (mentioned == low) / total
    chance = one * two + (1 - one) * (1 - two)
    most = min(one, two) + min(1 - one, 1 - two)
    if chance >= 1:
        return float("nan"), float("nan")
    return float((agreed - chance) / (1 - chance)), float((most - chance) / (1 - chance))


def review_agreement(reviews: Reviews, aspect: int, rng: np.random.Generator) -> dict[str, Any]:
    """Compare mention and low rating, review by review, where the aspect is rated and there is a text."""
    held = reviews.commented & (reviews.stars[:, aspect] > 0)
    mentioned, low = reviews.mentioned[held, aspect], reviews.low[held, aspect]
    n = int(held.sum())
    if not n:
        return {"n": 0}
    found, most = kappa(mentioned, low, np.ones(n))
    drawn = [
        kappa(mentioned, low, np.bincount(rng.integers(0, n, n), minlength=n).astype(np.float64))[0]
        for _ in range(DRAWS)
    ]
    bounds = np.nanpercentile(drawn, [2.5, 97.5]) if np.isfinite(drawn).any() else (np.nan, np.nan)
    return {
        "n": n,
        "low": float(low.mean()),
        "mentioned": float(mentioned.mean()),
        "mentioned_if_low": float(mentioned[low].mean()) if low.any() else float("nan"),
        "mentioned_if_not": float(mentioned[~low].mean()) if (~low).any() else float("nan"),
        "kappa": found,
        "kappa_low": float(bounds[0]),
        "kappa_high": float(bounds[1]),
        "kappa_most": most,
    }


def main() -> None:
    """Join, compare, print, and keep the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--tags", type=Path, required=True, help="the reviews' tags, as airline.py makes them"
    )
    parser.add_argument("--reviews", type=Path, default=DATA / "airline_reviews" / "reviews.csv")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "out" / "airline_ratings.json")
    arguments = parser.parse_args()
    reviews = read(arguments.reviews, arguments.tags)
    if not reviews.score.size:
        raise SystemExit("no review has both a score and tags")
    rng = np.random.default_rng(0)
    coded = np.array([bool(ASPECTS[name][1]) for name in reviews.names])
    rated, written = (points(reviews, held & coded) for held in (reviews.low, reviews.mentioned))
    order = order_agreement(reviews, coded, rng)
    single = {name: review_agreement(reviews, at, rng) for at, name in enumerate(reviews.names) if coded[at]}
    airlines = {
        name: across_airlines(reviews, coded, at) for at, name in enumerate(reviews.names) if coded[at]
    }
    report(reviews, rated, written, order, single, airlines)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    kept = {
        "n": int(reviews.score.size),
        "rated": rated,
        "written": written,
        "order": order,
        "reviews": single,
        "airlines": airlines,
    }
    arguments.output.write_text(json.dumps(kept, indent=2), encoding="utf-8")


def report(
    reviews: Reviews,
    rated: Mapping[str, tuple[float, float, float]],
    written: Mapping[str, tuple[float, float, float]],
    order: tuple[float, float, float],
    single: Mapping[str, Mapping[str, Any]],
    airlines: Mapping[str, tuple[float, float, float, int]],
) -> None:
    """Print the comparison."""
    n, lost = reviews.score.size, 100 * float(NPS.loss(reviews.score).mean())
    print(f"{n} reviews with a score and tags; 100 - NPS = {lost:.1f}; low: {LOW} stars or fewer of 5")
    print(f"\n{'points lost with':<16}{'low sub-ratings':>26}{'mentions in the text':>26}")
    for name in sorted((*single, "uncoded"), key=lambda name: (name == "uncoded", -rated[name][0])):
        shown = [f"{mean:6.1f} [{low:5.1f}, {high:5.1f}]" for mean, low, high in (rated[name], written[name])]
        print(f"{'none of these' if name == 'uncoded' else name:<16}{shown[0]:>26}{shown[1]:>26}")
    print(f"\nSpearman's rho of the two orders, {len(single)} aspects:", end=" ")
    print(f"{order[0]:.2f} [{order[1]:.2f}, {order[2]:.2f}] (percentile bootstrap over reviews)")
    print(
        f"\n{'single reviews':<16}{'n':>6}{'low':>6}{'said':>6}{'said|low':>10}{'said|not':>10}"
        f"{'kappa':>20}{'at most':>9}{'rho over airlines':>26}"
    )
    for name, found in single.items():
        if not found["n"]:
            print(f"{name:<16}{0:>6}")
            continue
        agreement = f"{found['kappa']:.2f} [{found['kappa_low']:.2f}, {found['kappa_high']:.2f}]"
        mean, low, high, count = airlines[name]
        print(
            f"{name:<16}{found['n']:>6}{found['low']:>6.0%}{found['mentioned']:>6.0%}"
            f"{found['mentioned_if_low']:>10.0%}{found['mentioned_if_not']:>10.0%}{agreement:>20}"
            f"{found['kappa_most']:>9.2f}{f'{mean:.2f} [{low:.2f}, {high:.2f}], n {count}':>26}"
        )


if __name__ == "__main__":
    main()

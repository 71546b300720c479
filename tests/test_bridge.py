import json
import math
from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pytest
from scipy.stats import binomtest

from data.errors import InputError
from data.responses import Response
from data.scale import NPS
from data.tags import Tag, TaggedResponse
from model.bridge import bridge_change, check_one_version, versions_of
from model.comparison import Comparison
from model.mentions import ScoredResponses
from model.metric_change import explain_change
from model.provenance import Provenance, Version, read_scored

OLD, NEW = Version("reason-codes/6", 1), Version("reason-codes/7", 2)
CODES = ("bill", "price", "wait")


class World:
    """Two months of answers: the truth, and what an old model and a new one see of it."""

    def __init__(self, seed, n, *, rise=0.0, twice=False):
        rng = np.random.default_rng(seed)
        self.rng, self.n, self.later = rng, 2 * n, np.arange(2 * n) >= n
        self.score = rng.choice([3, 8, 10], 2 * n, p=[0.4, 0.3, 0.3])
        self.commented = rng.random(2 * n) < 0.6
        self.person = np.tile(np.arange(n), 2) if twice else np.arange(2 * n)
        truth = rng.random((2 * n, 3)) < np.array([0.15, 0.2, 0.1])
        truth[:, 0] |= self.later & (rng.random(2 * n) < rise)
        truth &= self.commented[:, None]
        # The old model misses a third of the bills, the new one invents some prices.
        self.seen = {
            OLD: truth & (rng.random(truth.shape) < np.array([0.65, 0.9, 0.9])),
            NEW: truth | (self.commented[:, None] & (rng.random(truth.shape) < np.array([0.0, 0.1, 0.0]))),
        }

    def responses(self, mentions, keep=None):
        keep = np.arange(self.n) if keep is None else np.flatnonzero(keep)
        return ScoredResponses.from_arrays(
            NPS,
            self.score[keep],
            CODES,
            np.nonzero(mentions[keep]),
            respondent=self.person[keep],
            commented=self.commented[keep],
            response_ids=[f"r{i}" for i in keep],
        )

    def comparison(self, before=OLD, after=NEW):
        mentions = np.where(self.later[:, None], self.seen[after], self.seen[before])
        found = Comparison.of(self.responses(mentions), ~self.later, self.later, ("2026-01", "2026-02"))
        version = np.where(self.commented, self.later.astype(int), -1)
        return found, Provenance(np.ones(self.n, dtype=int), version, (before, after))

    def overlap(self, keep, version=NEW):
        responses = self.responses(self.seen[version], keep)
        return responses, Provenance(np.ones(responses.n, int), np.zeros(responses.n, int), (version,))


def by_code(found):
    return {row.code: row for row in (*found.rows, *found.buckets)}


@pytest.mark.parametrize("sides", ["before", "after", "both"])
def test_effects_sum_to_nothing_and_changes_to_the_metrics(sides):
    world = World(2, 2000, rise=0.25)
    held = world.rng.random(world.n) < 0.4
    old, new = world.seen[OLD], world.seen[NEW]
    keep = held & {"before": ~world.later, "after": world.later, "both": world.later | True}[sides]
    # Each response of the overlap as the other month's model tags it.
    overlap = world.responses(np.where(world.later[:, None], old, new), keep)
    origin = Provenance(np.ones(overlap.n, int), world.later[keep].astype(int), (NEW, OLD))
    found = bridge_change(*world.comparison(), overlap, origin)
    rows = by_code(found)
    assert math.fsum(row.model_effect.points for row in rows.values()) == pytest.approx(0, abs=1e-9)
    change = found.before.value - found.after.value
    assert math.fsum(row.customer_change.points for row in rows.values()) == pytest.approx(change, abs=1e-9)
    assert abs(found.total_check) < 1e-9
    for row in rows.values():
        assert row.change == pytest.approx(row.model_effect.points + row.customer_change.points)
    assert rows["bill"].customer_change.low > 0
    assert rows["bill"].model_effect.low > 0
    assert rows["bill"].flagged
    assert found.overlap[0] > 50 if sides != "after" else found.overlap[0] == 0
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["versions"] == [
        "reason-codes/6 (taxonomy 1)",
        "reason-codes/7 (taxonomy 2)",
    ]


@pytest.mark.parametrize("twice", [False, True])
def test_a_month_tagged_by_both_whole_gives_the_change_that_the_new_model_sees(twice):
    world = World(2, 500, twice=twice)
    rows = by_code(bridge_change(*world.comparison(), *world.overlap(~world.later)))
    plain = by_code(explain_change(world.comparison(NEW, NEW)[0]))
    for code in (*CODES, "uncoded", "no_comment"):
        assert rows[code].customer_change.points == pytest.approx(plain[code].change, abs=1e-9)
    for code in CODES:
        assert rows[code].customer_change.se == pytest.approx(plain[code].se, rel=0.02)


def lost_to_bills(bill, price, wait):
    """Give the expected points lost, where a comment mentions the three codes with these chances."""
    share = sum(
        (price if p else 1 - price) * (wait if w else 1 - wait) / (1 + p + w) for p in (0, 1) for w in (0, 1)
    )
    return 100 * (0.4 * 2 + 0.3) * 0.6 * bill * share


@pytest.mark.parametrize("detractors_only", [False, True])
def test_intervals_cover_both_parts_even_where_the_overlap_chose_detractors(detractors_only):
    covered = np.zeros(2)
    earlier, later = lost_to_bills(0.15, 0.28, 0.1), lost_to_bills(1 - 0.85 * 0.95, 0.28, 0.1)
    truth, effect = later - earlier, earlier - lost_to_bills(0.65 * 0.15, 0.9 * 0.2, 0.9 * 0.1)
    for seed in range(100):
        world = World(seed, 400, rise=0.05)
        chance = np.where(world.score == 3, 0.9, 0.3) if detractors_only else 0.5
        keep = ~world.later & (world.rng.random(world.n) < chance)
        row = by_code(bridge_change(*world.comparison(), *world.overlap(keep)))["bill"]
        for place, (part, value) in enumerate(((row.customer_change, truth), (row.model_effect, effect))):
            covered[place] += part.low <= value <= part.high
    for count in covered:
        assert binomtest(int(count), 100, 0.95, alternative="less").pvalue > 0.01


def test_without_an_overlap_versions_are_not_compared():
    comparison, provenance = World(3, 100).comparison()
    assert versions_of(comparison, provenance) == (OLD, NEW)
    with pytest.raises(InputError) as caught:
        check_one_version(comparison, provenance)
    assert str(caught.value) == (
        "the tags of '2026-01' are by reason-codes/6 (taxonomy 1) and those of '2026-02' by reason-codes/7 "
        "(taxonomy 2), so a change of the model would look like a change of customers; tag both with one "
        "model, or give responses that both have tagged with --overlap"
    )


def test_one_model_with_two_taxonomies_is_two_versions():
    comparison, provenance = World(3, 100).comparison()
    two = replace(provenance, versions=(OLD, OLD._replace(taxonomy=2)))
    with pytest.raises(InputError, match="taxonomy 1.* by reason-codes/6 .taxonomy 2"):
        check_one_version(comparison, two)
    check_one_version(comparison, replace(provenance, versions=(OLD, OLD)))


def test_a_period_that_mixes_versions_is_refused():
    world = World(4, 100)
    comparison, provenance = world.comparison()
    mixed = replace(provenance, version=np.arange(world.n) % 2)
    with pytest.raises(InputError, match="the tags of '2026-01' are by reason-codes/6 .* and reason-codes/7"):
        check_one_version(comparison, mixed)
    with pytest.raises(InputError, match="anew with one model"):
        bridge_change(comparison, mixed, *world.overlap(~world.later))


def test_responses_without_a_comment_have_no_version():
    world = World(5, 100)
    world.commented &= world.later
    comparison, provenance = world.comparison()
    assert versions_of(comparison, provenance) == (None, NEW)
    check_one_version(comparison, provenance)


def test_an_overlap_that_is_too_small_or_another_models_is_refused():
    world = World(6, 200)
    few = ~world.later & (np.arange(world.n) < 20)
    with pytest.raises(InputError, match=r"of '2026-01' \d+ and of '2026-02' 0 people .* at least 50"):
        bridge_change(*world.comparison(), *world.overlap(few))
    responses, _ = world.overlap(~world.later)
    third = Provenance(np.ones(200, int), np.zeros(200, int), (Version("other/1", 1),))
    with pytest.raises(InputError, match="of '2026-01' 0 and of '2026-02' 0 people"):
        bridge_change(*world.comparison(), responses, third)
    with pytest.raises(InputError, match="one model tagged both groups"):
        bridge_change(*world.comparison(NEW, NEW), *world.overlap(~world.later))


def test_a_cause_on_which_the_overlap_agrees_keeps_an_interval():
    world = World(7, 300)
    world.seen[NEW] = world.seen[OLD].copy()
    rows = by_code(bridge_change(*world.comparison(), *world.overlap(~world.later)))
    effect = rows["wait"].model_effect
    assert (effect.points, effect.se) == (0.0, 0.0)
    assert effect.low < 0 < effect.high
    assert effect.high < 3
    assert (rows["no_comment"].model_effect.low, rows["no_comment"].model_effect.high) == (0.0, 0.0)


def test_provenance_knows_day_and_model_of_the_latest_row():
    def row(key, day, model, status="tagged", score=3):
        tags = (Tag("bill", "negative", 0.9),) if status == "tagged" else ()
        when = None if day is None else datetime(2026, 4, day, 23, 30, tzinfo=UTC)
        return TaggedResponse(Response(key, score, "x", when), status, tags, model, 1)

    rows = [
        row("a", 1, "m/1"),
        row("b", 2, "m/2", "no_comment"),
        row("c", None, "m/2"),
        row("a", 3, "m/2"),
        row("d", 9, "m/3", score=None),
    ]
    responses, provenance = read_scored(iter(rows), NPS)
    assert list(responses.response_ids) == ["a", "b", "c"]
    assert provenance.days() == (date(2026, 4, 2), date(2026, 4, 3))
    assert provenance.undated == 1
    assert [provenance.versions[place] if place >= 0 else None for place in provenance.version] == [
        ("m/2", 1),
        None,
        ("m/2", 1),
    ]
    assert provenance.versions_in(np.array([False, True, False])) == []
    with pytest.raises(InputError, match="no row has a score"):
        read_scored(iter([row("d", 9, "m/3", score=None)]), NPS)

"""The benchmark of coverage: its truths, its counting, and a short run of it."""

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from model.root_causes import rank_root_causes
from tests import benchmark_modules

import coverage_benchmark as coverage  # isort: skip
import populations  # isort: skip
import tally  # isort: skip

Population, Recipe = populations.Population, populations.Recipe
Line, Tally, Trials = tally.Line, tally.Tally, tally.Trials

SHORT = [
    "survey of 300",
    "weights, several answers",
    "equal causes",
    "regions, three hotspots",
    "weeks, nothing planted",
    "periods, the same people",
    "periods, two models",
    "audit of 300, strata",
    "audit, weights and repeats",
]


def test_the_benchmark_is_not_taken_for_the_package_of_its_name():
    found = find_spec("coverage")
    assert found is None or benchmark_modules.FOLDER not in Path(found.origin).parents
    assert str(benchmark_modules.FOLDER) not in sys.path


def everyone(pool):
    rows = np.arange(pool.score.size)
    return pool.responses(rows, np.repeat(np.arange(pool.people), np.diff(pool.person_start)))


def test_the_truths_are_the_figures_of_the_whole_pool():
    recipe = Recipe(answers=3, uneven=0.5)
    study = coverage.SurveyStudy(recipe, 100, adjusted=False)
    ranking = rank_root_causes(everyone(study.pool))
    assert ranking.metric.value == pytest.approx(study.pool.metric())
    for row in (*ranking.rows, *ranking.buckets, *ranking.parents):
        assert row.points_lost == pytest.approx(study.lost[row.code])
        if row.code in study.impacts:
            assert row.impact.value == pytest.approx(study.impacts[row.code])
    assert sum(study.pool.lost()) == pytest.approx(100 - study.pool.metric())


def test_latent_mentions_leave_all_other_causes_alone():
    pool = Population.of(Recipe(), 3000)
    rows = np.arange(pool.score.size)
    shown = rank_root_causes(pool.responses(rows, rows, shown=pool.latent == 2))
    found = {row.code: row.points_lost for row in (*shown.rows, *shown.buckets)}
    truth = dict(zip((*pool.codes, "uncoded", "no_comment"), pool.lost(), strict=True))
    gained = pool.latent_lost()[2]
    assert gained > 0.5
    truth[pool.codes[2]] += gained
    truth["uncoded"] -= gained
    assert found == pytest.approx(truth)


def test_equal_causes_are_equal_to_the_last_digit():
    pool = Population.of(coverage.ALIKE, 2000)
    lost = pool.lost()[: len(pool.codes)]
    assert np.ptp(lost) < 1e-9
    best, worst = tally.true_places(lost)
    assert set(best.tolist()) == {1}
    assert set(worst.tolist()) == {lost.size}


def test_a_line_counts_and_knows_its_own_error():
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(300):
        line = Line("covers")
        for _ in range(80):
            hits = rng.random(3) < rng.choice([0.85, 1.0])  # what is tried at once goes together
            line.add(float(hits.sum()), 3.0, 0.0, 0.0)
        errors.append((line.share - 0.925, line.share_error))
    off, told = np.array(errors).T
    assert abs(off.mean()) < 0.005
    assert told.mean() == pytest.approx(off.std(), rel=0.1)


@pytest.mark.parametrize(
    ("claim", "hits", "short"),
    [
        ("covers", 92, True),
        ("covers", 94, False),
        ("all at once", 94, False),
        ("all at once", 85, True),
        ("false share", 12, False),
        ("false share", 25, True),
        ("missed share", 8, True),
        ("shown", 10, False),
    ],
)
def test_a_line_falls_short_where_its_claim_fails(claim, hits, short):
    line = Line(claim)
    for number in range(100):
        line.add(float(number < hits), 1.0, 0.0, 0.0)
    assert line.short is short


def test_trials_count_what_an_interval_holds():
    trials, counts = Trials(), Tally()
    trials.interval("a", 1.0, 2.0, 0.5, 3.0)
    trials.interval("a", 1.0, 2.0, 1.5, 3.0)
    trials.interval("a", 1.0, None, None, None)
    trials.all_at_once("b", [True, False])
    counts.add(trials)
    line = Tally(counts.to_dict()).lines["a"]
    assert (line.hits, line.trials, line.bias, line.typical) == (1.0, 2.0, 1.0, 1.0)
    assert counts.lines["b"].share == 0.0
    assert [tally.band(n) for n in (9, 10, 20, 50)] == [
        "under 10 expected", "10-19 expected", "20-49 expected", "50 or more",
    ]  # fmt: skip


def test_a_later_run_goes_on_where_one_ended(tmp_path):
    coverage.run("survey of 300", 3, out=tmp_path / "a")
    on = coverage.run("survey of 300", 6, out=tmp_path / "a")
    whole = coverage.run("survey of 300", 6, out=tmp_path / "b")
    assert on.to_dict() == whole.to_dict()
    assert all(line.replications <= 6 for line in on.lines.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORT)
def test_a_short_run_finds_no_interval_that_fails(tmp_path, name):
    for figure, line in coverage.run(name, 40, out=tmp_path).lines.items():
        if line.claim == "shown" or line.replications < 20:
            continue
        slack = 3.5 * max(line.share_error, 0.02)
        floor = tally.FLOORS[line.claim]
        assert line.share - slack <= floor if line.limits else line.share + slack >= floor, figure

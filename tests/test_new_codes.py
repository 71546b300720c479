"""New codes from few examples: better than their definition, calm where there is little to learn from."""

import numpy as np
import pytest
import torch

from model.code_decisions import CodeDecisions
from model.code_parameters import CodeParameters
from model.decision import decide
from model.head_fitting import predict_head
from model.network import ReasonCodeNetwork
from model.new_code_decisions import LEAST_UNREVIEWED, decide_new_code, share_of_positives
from model.new_codes import fit_new_codes
from model.operating_points import BETA, POINT_NAMES, Expectation, OperatingPoint
from model.state_cache import CachedStates

WIDTH = 16


def problem(n, share, seed=0, codes=1):
    """Comments of five tokens, of which one points where the code does, in `share` of them."""
    rng = np.random.default_rng(seed)
    aim = np.zeros(WIDTH)
    aim[0] = 6.0
    present = np.zeros((n, codes, 3), np.float32)
    places = []
    for row in range(n):
        tokens = rng.normal(0, 1, (5, WIDTH))
        if rng.random() < share:
            polarity = int(rng.random() < 0.4) * 2
            tokens[2] += aim * (1 if polarity else -1) + np.eye(WIDTH)[1] * 6
            present[row, 0, polarity] = 1
        places.append(tokens.astype(np.float16))
    return CachedStates(tuple(places)), present, [f"comment {seed} {row}" for row in range(n)]


@pytest.fixture
def head():
    """A reader that was taught nothing, and a definition that points near the matter."""
    torch.manual_seed(0)
    head = ReasonCodeNetwork(torch.nn.Identity(), WIDTH, 1)
    head.definition[0, 1] = 1.0
    return head.eval()


UNREAD = (0.2, 0.35, 0.4)


def decisions(n=3):
    """Those of a model with other codes, at all points."""
    none = Expectation(None, None, 0)
    points = {
        name: OperatingPoint(((cut,) * 3,) * n, none, {f"old{i}": none for i in range(n)})
        for name, cut in zip(POINT_NAMES, (0.6, 0.4, 0.15), strict=True)
    }
    return CodeDecisions(tuple(f"old{i}" for i in range(n)), points["balanced"].thresholds, None, points)


def fit(head, states, comments, present, known, model=None):
    model = decisions() if model is None else model
    names = [f"new{i}" for i in range(present.shape[1])]
    unread = model.of_unread_codes(names, UNREAD)
    return fit_new_codes(head, states, comments, present, known, unread, model.usual_thresholds())


def read(found, head, states):
    """Give the calibrated probabilities of a new code."""
    return found.decisions.calibration.apply(predict_head(found.parameters.head(head), states))


def f1(probabilities, thresholds, present, beta=1.0):
    chosen = decide(probabilities, np.asarray(thresholds))
    worth = beta**2
    return (1 + worth) * (chosen * present).sum() / (chosen.sum() + worth * present.sum())


def few(n_positive, n_negative, seed):
    states, present, comments = problem(2000, 0.2, seed)
    positive = np.flatnonzero(present.any((1, 2)))[:n_positive]
    negative = np.flatnonzero(~present.any((1, 2)))[:n_negative]
    rows = np.concatenate([positive, negative])
    return CachedStates(tuple(states.places[i] for i in rows)), present[rows], [comments[i] for i in rows]


def test_25_examples_among_125_reach_most_of_what_all_reach(head):
    states, present, comments = few(25, 100, 1)
    held, true, _ = problem(2000, 0.05, 2)
    found = fit(head, states, comments, present, np.ones((125, 1), np.float32))
    everything, all_present, all_comments = problem(2000, 0.05, 3)
    full = fit(head, everything, all_comments, all_present, np.ones((2000, 1), np.float32))
    most = f1(read(full, head, held), full.decisions.thresholds, true)
    own = f1(read(found, head, held), found.decisions.thresholds, true)
    assert most > 0.9
    assert own >= 0.8 * most
    assert own > f1(predict_head(head, held), [UNREAD], true) + 0.1
    assert np.isfinite(found.out_of_fold).all()


def test_nothing_but_the_new_code_moves(head):
    before = {name: value.clone() for name, value in head.state_dict().items()}
    states, present, comments = few(10, 30, 1)
    found = fit(head, states, comments, present, np.ones((40, 1), np.float32))
    assert all(torch.equal(value, before[name]) for name, value in head.state_dict().items())
    assert torch.equal(found.parameters.definition, head.definition)
    assert found.parameters.weight.any()
    again = fit(head, states, comments, present, np.ones((40, 1), np.float32))
    assert torch.equal(found.parameters.weight, again.parameters.weight)
    assert found.decisions == again.decisions


@pytest.mark.parametrize("positives", [0, 1])
def test_without_examples_the_definition_speaks(head, positives):
    states, present, comments = few(positives, 40, 1)
    found = fit(head, states, comments, present, np.ones((len(comments), 1), np.float32))
    assert found.decisions.thresholds == (UNREAD,)
    assert found.decisions.calibration is None
    strict, mild = (found.decisions.points[name].threshold_array()[0] for name in POINT_NAMES[::2])
    assert (strict > UNREAD).all()
    assert (mild < UNREAD).all()
    assert not found.parameters.weight.any()
    assert np.isnan(found.out_of_fold).all()


@pytest.mark.parametrize(("positives", "negatives", "older"), [(10, 0, 0), (10, 4, 199), (4, 0, 1000)])
def test_examples_of_nothing_else_teach_less_than_the_definition(head, positives, negatives, older):
    """By themselves they would make a fit call everything the code."""
    states, present, comments = few(positives, negatives, 1)
    others, more, texts = problem(older, 0.05, 2)
    known = np.repeat([1.0, 0.0], [len(comments), older]).astype(np.float32)[:, None]
    together = CachedStates(states.places + others.places)
    found = fit(head, together, comments + texts, np.concatenate([present, 0 * more]), known)
    assert found.decisions.thresholds == (UNREAD,)
    assert not found.parameters.weight.any()
    assert np.isnan(found.out_of_fold).all()


@pytest.mark.parametrize(("positives", "negatives"), [(5, 0), (10, 0), (10, 3), (25, 0)])
def test_older_comments_stand_in_where_only_comments_with_the_code_were_reviewed(head, positives, negatives):
    states, present, comments = few(positives, negatives, 1)
    others, more, texts = problem(600, 0.05, 2)
    known = np.repeat([1.0, 0.0], [len(comments), 600]).astype(np.float32)[:, None]
    together = CachedStates(states.places + others.places)
    found = fit(head, together, comments + texts, np.concatenate([present, 0 * more]), known)
    held, true, _ = problem(2000, 0.05, 3)
    own = f1(read(found, head, held), found.decisions.thresholds, true)
    assert own > f1(predict_head(head, held), [UNREAD], true) + 0.1
    assert np.isfinite(found.out_of_fold[: len(comments)]).all()
    assert np.isnan(found.out_of_fold[len(comments) :]).all()


def test_beside_a_code_with_examples_one_without_stays_as_its_definition_has_it(head):
    states, present, comments = few(20, 60, 1)
    two = ReasonCodeNetwork(torch.nn.Identity(), WIDTH, 2)
    two.reader.load_state_dict(head.reader.state_dict())
    two.definition[0, 1] = two.definition[1, 5] = 1.0
    known = np.ones((80, 2), np.float32)
    known[:, 1] = 0
    found = fit(two, states, comments, np.concatenate([present, 0 * present], axis=1), known)
    assert found.decisions.calibration.scale[1] == (1.0,) * 3
    assert found.decisions.calibration.shift[1] == (0.0,) * 3
    assert found.decisions.calibration.scale[0] != (1.0,) * 3
    assert found.decisions.thresholds[1] == UNREAD
    before = predict_head(two, states)[:, 1]
    assert np.array_equal(read(found, two, states)[:, 1], before)


def test_what_nobody_reviewed_teaches_nothing_but_how_often_the_code_applies(head):
    states, present, comments = few(25, 100, 1)
    others, hidden, more = problem(400, 0.05, 4)
    both = CachedStates((*states.places, *others.places))
    known = np.concatenate([np.ones((125, 1)), np.zeros((400, 1))]).astype(np.float32)
    told = [
        fit(head, both, [*comments, *more], np.concatenate([present, rest]), known)
        for rest in (hidden, 1 - hidden)
    ]
    alone = fit(head, states, comments, present, known[:125])
    for one in (told[1], alone):
        assert torch.equal(told[0].parameters.weight, one.parameters.weight)
        assert torch.equal(told[0].parameters.bias, one.parameters.bias)
    assert told[0].decisions == told[1].decisions
    assert told[0].decisions != alone.decisions
    assert np.isnan(told[0].out_of_fold[125:]).all()


def test_codes_are_fitted_each_for_itself(head):
    states, present, comments = few(20, 60, 1)
    two = ReasonCodeNetwork(torch.nn.Identity(), WIDTH, 2)
    two.reader.load_state_dict(head.reader.state_dict())
    two.definition[0, 1] = two.definition[1, 5] = 1.0
    both = np.concatenate([present, np.roll(present, 7, axis=0)], axis=1)
    known = np.ones((80, 2), np.float32)
    known[::3, 1] = 0
    pair = fit(two, states, comments, both, known)
    alone = fit(head, states, comments, present, known[:, :1])
    np.testing.assert_allclose(pair.parameters.weight[0], alone.parameters.weight[0], rtol=1e-3, atol=1e-5)
    for name in POINT_NAMES:
        own, single = (found.decisions.points[name] for found in (pair, alone))
        assert own.thresholds[0] == pytest.approx(single.thresholds[0], abs=1e-3)
        assert own.codes["new0"].recall == pytest.approx(single.codes["new0"].recall, abs=1e-3)


def test_what_is_expected_comes_true_at_every_point(head):
    """Precision and recall on comments to come; each point is worth most by its own measure."""
    states, present, comments = few(25, 100, 1)
    others, hidden, more = problem(2000, 0.08, 4)
    both = CachedStates((*states.places, *others.places))
    known = np.concatenate([np.ones((125, 1)), np.zeros((2000, 1))]).astype(np.float32)
    found = fit(head, both, [*comments, *more], np.concatenate([present, hidden]), known)
    held, true, _ = problem(4000, 0.08, 9)
    probabilities = read(found, head, held)
    assert probabilities.max(axis=2).mean() == pytest.approx(0.08, abs=0.04)
    recalls = []
    for name, point in found.decisions.points.items():
        chosen, expected = decide(probabilities, point.threshold_array()), point.codes["new0"]
        assert expected.recall == pytest.approx((chosen * true).sum() / true.sum(), abs=0.15), name
        assert expected.precision == pytest.approx((chosen * true).sum() / chosen.sum(), abs=0.2), name
        assert expected.mentions == 25
        best = max(f1(probabilities, [[cut] * 3], true, BETA[name]) for cut in np.arange(0.02, 1, 0.02))
        assert f1(probabilities, point.thresholds, true, BETA[name]) > 0.9 * best, name
        recalls.append(expected.recall)
    assert recalls == sorted(recalls)
    assert found.decisions.thresholds == found.decisions.points["balanced"].thresholds


def test_few_examples_stay_near_what_is_usual():
    """Two examples that look perfect teach less than forty of the same kind."""
    rng = np.random.default_rng(0)
    usual = {"high_precision": 0.6, "balanced": 0.4, "high_recall": 0.15}

    def decided(count, model):
        target = np.zeros((count + 100, 3))
        target[:count, 0] = 1
        logits = np.full((count + 100, 3), -9.0)
        logits[:, 0] = np.where(target[:, 0], 1.0, -1.0)
        elsewhere = np.full((1000, 3), -9.0)
        elsewhere[:, 0] = np.where(rng.random(1000) < 0.3, 1.0, -1.0)
        return decide_new_code(logits, target, elsewhere, model)

    two, forty, alone = decided(2, usual), decided(40, usual), decided(2, {})
    assert 1 < two.scale < forty.scale
    for name, cut in usual.items():
        distance = [abs(one.thresholds[name] - cut) for one in (two, alone)]
        assert distance[0] == pytest.approx(distance[1] / 2, abs=1e-6)


def test_the_share_of_positives_is_found_whatever_the_probabilities_mean():
    """Fitted where a fifth held the code, seen where 4% do; too sure of itself, and not."""
    rng = np.random.default_rng(0)
    reviewed, held = rng.random(4000) < 0.2, rng.random(40_000) < 0.04
    for sharpness in (1.0, 3.0):
        scores = [1 / (1 + np.exp(-sharpness * rng.normal(-1 + 2.5 * it, 1))) for it in (held, reviewed)]
        assert share_of_positives(*scores, reviewed) == pytest.approx(held.mean(), abs=0.02)
    assert share_of_positives(np.zeros(100), scores[1], reviewed) == 0.01
    assert share_of_positives(np.ones(100), scores[1], reviewed) == 0.5
    assert share_of_positives(np.full(9, 0.2), np.full(5, 0.8), np.ones(5, bool)) == pytest.approx(0.25)


def test_a_code_that_is_rare_elsewhere_is_less_probable():
    rng = np.random.default_rng(3)
    target = np.zeros((300, 3))
    target[:150, 0] = 1
    scores = rng.normal(-1 + 2 * target, 1) - [0, 9, 9]
    found = [
        decide_new_code(scores, target, rng.normal(mean, 1, (LEAST_UNREVIEWED, 3)) - [0, 9, 9], {})
        for mean in (-1, 1)
    ]
    assert found[0].shift < found[1].shift - 1
    assert all(0 < one.thresholds["balanced"] < one.thresholds["high_precision"] < 1 for one in found)


def test_rows_of_parameters_go_where_they_belong(head):
    first = CodeParameters.of(head)
    second = CodeParameters.from_definitions(torch.eye(WIDTH)[:2])
    both = first.followed_by(second)
    assert len(both) == 3
    swapped = both.rows([2, 0])
    assert torch.equal(swapped.definition, both.definition[[2, 0]])
    assert torch.equal(both.head(head).definition, both.definition)

"""The head on kept token states: it learns, leaves the reader and the encoder alone, and repeats itself."""

import dataclasses

import numpy as np
import pytest
import torch

from model.code_parameters import CodeParameters
from model.decision import decide
from model.head_fitting import HEAD_FIT, StatesFold, fit_head, predict_head
from model.prediction import predict_network
from model.state_cache import CachedStates, StateCache

PLAN = dataclasses.replace(HEAD_FIT, epochs=4, least_steps=0, batch_size=32, head_rate=1e-2)


@pytest.fixture(scope="module")
def folds(classifier, annotations, targets, tmp_path_factory):
    """Token states of the fitted tiny encoder, to fit on and to stop on."""
    cache = StateCache(tmp_path_factory.mktemp("states"), 10**9)
    states = classifier.states([row.comment for row in annotations], cache)
    present, known = classifier.labels.encode(targets)

    def fold(rows):
        return StatesFold(CachedStates(states.places[rows]), present[rows], known[rows])

    return fold(slice(0, 450)), fold(slice(450, 600))


@pytest.fixture
def bare(classifier):
    """A head of the classifier's codes as their definitions alone give them."""
    definition = classifier.network_.definition.clone()
    return CodeParameters.from_definitions(definition).head(classifier.network_)


def f1(head, fold):
    chosen = decide(predict_head(head, fold.states), np.full((3, 3), 0.5))
    return 2 * (chosen * fold.present).sum() / (chosen.sum() + fold.present.sum())


def test_a_head_scores_states_as_the_network_scores_comments(classifier, folds, annotations):
    head = CodeParameters.of(classifier.network_).head(classifier.network_)
    tokens = classifier.tokenize([row.comment for row in annotations[450:]])
    expected, _ = predict_network(classifier.network_, tokens, 0)
    np.testing.assert_allclose(predict_head(head, folds[1].states), expected, atol=5e-3)


def test_it_learns_and_the_reader_stays(bare, folds, classifier):
    reader = {name: value.clone() for name, value in bare.reader.state_dict().items()}
    definition = bare.definition.clone()
    before = f1(bare, folds[1])
    told = []
    history = fit_head(bare, *folds, PLAN, on_progress=told.append)
    assert f1(bare, folds[1]) > max(0.95, before)
    assert all(torch.equal(value, reader[name]) for name, value in bare.reader.state_dict().items())
    assert torch.equal(bare.definition, definition)
    assert [p.step for p in told] == list(range(1, told[0].steps + 1))
    assert len(history) == 4


def test_the_reader_learns_where_it_is_asked_to(bare, folds):
    before = bare.reader.query.detach().clone()
    fit_head(bare, *folds, dataclasses.replace(PLAN, epochs=1), reader=True)
    assert not torch.equal(bare.reader.query, before)


def test_the_same_seed_gives_the_same_head(classifier, folds):
    def fitted(seed):
        head = CodeParameters.from_definitions(classifier.network_.definition).head(classifier.network_)
        fit_head(head, *folds, dataclasses.replace(PLAN, epochs=1, seed=seed))
        return head.weight.detach().numpy()

    assert np.array_equal(fitted(1), fitted(1))
    assert not np.array_equal(fitted(1), fitted(2))


def test_without_a_validation_part_the_last_epoch_is_kept(bare, folds):
    history = fit_head(bare, folds[0], None, PLAN)
    assert len(history) == 4
    assert f1(bare, folds[1]) > 0.9


def test_a_code_that_is_unknown_everywhere_learns_nothing(classifier, folds):
    train, _ = folds
    known = train.known.copy()
    known[:, 1] = 0
    flipped = dataclasses.replace(train, known=known, present=train.present.copy())
    flipped.present[:, 1] = 1 - flipped.present[:, 1]

    def fitted(fold):
        head = CodeParameters.from_definitions(classifier.network_.definition).head(classifier.network_)
        fit_head(head, fold, None, dataclasses.replace(PLAN, epochs=1))
        return CodeParameters.of(head)

    one, other = fitted(dataclasses.replace(train, known=known)), fitted(flipped)
    assert torch.equal(one.weight, other.weight)
    assert not one.bias[1].any()
    assert one.bias[0].any()

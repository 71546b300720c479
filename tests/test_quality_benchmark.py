"""The benchmark: protocols that leak nothing, peers that honour what is unknown, a table that adds up."""

import csv
import dataclasses
import json

import numpy as np
import pytest

from tests import benchmark_modules  # isort: skip  # noqa: F401

import experiments
import measuring_sets
import protocols
import quality_table
from definitions import by_definition
from linear_peers import SVM
from measurement import Prediction, accuracy, figures_of, read_problem, shrink
from runs import Plan, kept_result, measure

from data.text import normalise
from training.pipeline import load_training_data

GUIDE = (
    "1. Theme: app.crash Mentions of crashes, freezing ● Examples: “It crashes always” “Frozen again” "
    "2. Theme: value.price Mentions of cost, cheap or expensive ● Examples: “Far too expensive” "
    "Sentiment Labels: 1."
)
WORDS = {"app.crash": "crashes freezing frozen", "value.price": "cheap expensive cost"}


@pytest.fixture
def fabsa(tmp_path, monkeypatch):
    """Reviews of a made-up set in FABSA's form, some texts standing in two organisations."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "data" / "fabsa"
    folder.mkdir(parents=True)
    (folder / "annotation_guidelines.txt").write_text(GUIDE, encoding="utf-8")
    with (folder / "train.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "labels", "org_index"])
        for i in range(400):
            code = rng.choice(sorted(WORDS))
            bad = rng.random() < 0.5
            words = [*rng.choice(WORDS[code].split(), 2), "awful" if bad else "lovely", f"n{i % 300}"]
            writer.writerow([i, " ".join(words), [f"{code}.{-1 if bad else 1}"], i % 5])
    monkeypatch.setattr(measuring_sets, "DATA", tmp_path / "data")
    measuring_sets.load.cache_clear()
    yield tmp_path / "files"
    measuring_sets.load.cache_clear()


def sides(files):
    return (load_training_data(path, files.taxonomy) for path in (files.train, files.held_out))


def test_no_text_of_the_left_out_organisation_is_trained_on(fabsa):
    train, held = sides(protocols.organisation_left_out(fabsa, "2"))
    assert len(held.annotations) == 80
    assert not {normalise(text) for text in train.comments} & {normalise(text) for text in held.comments}
    assert len(train.annotations) + len(held.annotations) <= 400


def test_an_unseen_code_is_unknown_in_training_and_known_in_what_measures(fabsa):
    train, held = sides(protocols.unseen_code(fabsa, "app.crash"))
    assert all(target.unknown == {"app.crash"} for target in train.targets)
    assert not any(target.unknown for target in held.targets)
    assert any(code == "app.crash" for target in held.targets for code, _ in target.labels)
    assert "freezing" in train.taxonomy["app.crash"].definition


def test_a_late_code_is_known_in_125_annotations(fabsa):
    train, _ = sides(protocols.new_code(fabsa, "app.crash", 0))
    knowing = [target for target in train.targets if not target.unknown]
    assert len(knowing) == protocols.NEW_POSITIVES + protocols.NEW_OTHERS
    assert sum(any(c == "app.crash" for c, _ in t.labels) for t in knowing) == protocols.NEW_POSITIVES
    before, _ = sides(protocols.before_new_code(fabsa / "before", "app.crash"))
    assert before.comments == train.comments
    assert "app.crash" not in before.taxonomy


def test_a_peer_learns_from_the_annotations_that_know_a_code_only(fabsa):
    problem = read_problem(protocols.new_code(fabsa, "app.crash", 0), code="app.crash")
    vocabulary = sorted({word for text in problem.train.comments for word in text.split()})
    train, held = (
        np.array([[word in text.split() for word in vocabulary] for text in part.comments], float) / 2
        for part in (problem.train, problem.held)
    )
    prediction = SVM.read(problem, train, held)
    place = problem.place
    assert figures_of(problem, prediction)["pair_f1_of_code"]["app.crash"] > 0.8
    unknown = problem.train.known[:, place] == 0
    problem.train.present[unknown, place, 0] = 1.0  # what nobody knows must change nothing
    again = SVM.read(problem, train, held)
    assert np.array_equal(prediction.probabilities, again.probabilities)


def test_a_definition_finds_its_code(fabsa):
    problem = read_problem(protocols.unseen_code(fabsa, "app.crash"), code="app.crash")
    assert problem.unseen

    def features(texts):
        words = sorted({word for line in WORDS.values() for word in line.split()} | {"awful", "lovely"})
        counts = np.array([[word in normalise(text).split() for word in words] for text in texts], float)
        return counts / np.maximum(1.0, np.linalg.norm(counts, axis=1, keepdims=True))

    from sklearn.svm import LinearSVC

    found = by_definition(
        problem, features(problem.train.comments), features(problem.held.comments), features, LinearSVC()
    )
    assert figures_of(problem, found)["pair_f1_of_code"]["app.crash"] > 0.8
    assert not found.chosen[:, 1 - problem.place].any()


def test_accuracy_is_of_the_likeliest_code(fabsa):
    problem = read_problem(protocols.grouped(fabsa, "fabsa"), single=True)
    probabilities = problem.held.present * 0.2 + 0.1
    assert accuracy(probabilities, problem.held) == 1.0
    assert accuracy(1 - probabilities, problem.held) < 1.0
    found = figures_of(problem, Prediction(probabilities, probabilities > 0.2))
    assert found["accuracy"] == found["pair_micro_f1"] == 1.0


def test_results_are_kept_while_the_data_are_the_same(fabsa, tmp_path, monkeypatch):
    calls = []

    def read(method, problem, seed, plan):
        calls.append(method)
        return Prediction(problem.held.present, problem.held.present > 0)

    monkeypatch.setattr("runs.read_with", read)
    plan = Plan(tmp_path / "out")
    (experiment,) = experiments.experiments(["fabsa"], ["svm"], None)
    first = measure(experiment, plan)
    assert first["pair_micro_f1"] == 1.0
    assert measure(experiment, plan) == first == kept_result(experiment, plan)
    assert len(calls) == 1
    fewer = measure(experiment, Plan(tmp_path / "out", tiny=100))
    assert fewer["train"] == 100
    assert len(calls) == 2


def test_shrinking_keeps_both_versions_of_the_annotations_alike(fabsa):
    before = protocols.before_new_code(fabsa / "before", "app.crash")
    whole = read_problem(protocols.new_code(fabsa, "app.crash", 0), code="app.crash", before=before)
    problem = shrink(whole, 60)
    texts = [json.loads(line)["comment"] for line in before.train.read_text(encoding="utf-8").splitlines()]
    assert texts == problem.train.comments
    assert len(texts) == 60


def keep(plan, row, part, method, seed, **figures):
    path = plan.folder / "results" / row / part / f"{method}-{seed}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"seconds": 2.0, "notes": {}, **figures}), encoding="utf-8")


def test_the_table_means_over_parts_and_seeds_and_tells_what_is_reached(fabsa, tmp_path):
    plan = Plan(tmp_path / "out")
    for seed, micro in ((0, 0.80), (1, 0.83)):
        keep(plan, "fabsa", "all", "product", seed, pair_micro_f1=micro, pair_macro_f1=0.64)
    for i, part in enumerate(protocols.organisations()):
        keep(plan, "fabsa_organisations", part, "product", 0, pair_micro_f1=0.7 + 0.02 * i)
        keep(plan, "fabsa_organisations", part, "svm", 0, pair_micro_f1=0.5)
    row = next(row for row in experiments.ROWS if row.name == "fabsa_organisations")
    assert quality_table.over_seeds(row, "product", plan) == [(pytest.approx(0.73),)]
    first, second = quality_table.markdown(["fabsa", "fabsa_organisations"], plan).splitlines()[2:4]
    assert "0.815 / 0.640 (± 0.015 / 0.000, 2 seeds)" in first
    assert first.split(" | ")[3] == "yes"
    assert second.split(" | ")[3] == "-"  # pooling is not measured yet
    for part in protocols.organisations():
        keep(plan, "fabsa_organisations", part, "pooling", 0, pair_micro_f1=0.71)
    second = quality_table.markdown(["fabsa_organisations"], plan).splitlines()[2]
    assert second.split(" | ")[3] == "no"


def test_a_late_code_is_compared_with_the_same_method_on_full_data(tmp_path):
    plan = Plan(tmp_path / "out")
    code = protocols.NEW_CODE
    both = {"pair_micro_f1": 0.8, "pair_macro_f1": 0.6}
    full = {"pair_f1_of_code": {code: 0.8}, "pair_f1_of_others": {code: 0.79}}
    late = {"pair_f1_of_code": {code: 0.6}, "pair_f1_of_others": {code: 0.785}}
    row = next(row for row in experiments.ROWS if row.name == "fabsa_new_code")
    keep(plan, "fabsa_new_code", code, "svm", 1, **both, **late)
    assert quality_table.over_seeds(row, "svm", plan) == []
    keep(plan, "fabsa", "all", "svm", 0, **both, **full)
    assert quality_table.over_seeds(row, "svm", plan) == [pytest.approx((0.75, -0.005))]


def test_pooling_does_not_see_the_padding(tiny_encoder):
    import torch
    from pooling import PoolingNetwork

    from model.encoder import load_backbone

    torch.manual_seed(0)
    network = PoolingNetwork(load_backbone(tiny_encoder, pretrained=True), 32, 3).eval()
    ids = torch.tensor([[2, 7, 8, 3]])
    with torch.inference_mode():
        plain, even = network(ids, torch.ones_like(ids))
        padded, _ = network(torch.cat([ids, torch.zeros_like(ids)], 1), torch.tensor([[1] * 4 + [0] * 4]))
    assert plain.shape == (1, 3, 3)
    assert torch.allclose(plain, padded, atol=1e-5)
    assert torch.allclose(even, torch.full((1, 3, 4), 0.25))


def test_pooling_is_fitted_and_read_as_the_product_is(tiny_encoder):
    import torch
    from pooling import PoolingNetwork, settings_of

    from model.encoder import load_backbone, load_tokenizer
    from model.fitting import Fold, fit_network
    from model.prediction import predict_network
    from model.tokens import tokenize

    torch.manual_seed(0)
    network = PoolingNetwork(load_backbone(tiny_encoder, pretrained=True), 32, 2)
    comments = tokenize(load_tokenizer(tiny_encoder, 16), ["my fee was awful", "the queue was so bad"] * 8)
    present = np.zeros((16, 2, 3), np.float32)
    present[::2, 0, 0] = present[1::2, 1, 0] = 1
    fold = Fold(comments, present, np.ones((16, 2), np.float32))
    settings = dataclasses.replace(settings_of(0), least_steps=40, threads=1)
    fit_network(network, fold, fold, 0, settings)
    probabilities, _ = predict_network(network, comments, 0)
    assert (probabilities[::2, 0, 0] > probabilities[1::2, 0, 0].max()).all()
    assert (probabilities[1::2, 1, 0] > probabilities[::2, 1, 0].max()).all()


def test_a_teacher_is_fitted_where_there_is_none_and_kept(trained_home, tmp_path):
    from taught import fitted_teacher, teacher_in

    nowhere = tmp_path / "train.jsonl", tmp_path / "taxonomy.yaml"
    assert fitted_teacher(*nowhere, None, trained_home) == "models:/reason-codes@champion"
    with pytest.raises(SystemExit, match="--teacher-encoder"):
        fitted_teacher(*nowhere, None, teacher_in(tmp_path / "home"))


@pytest.mark.parametrize("given", [True, False])
def test_the_product_with_a_teacher_is_measured_where_there_is_an_encoder_for_one(given, monkeypatch, capsys):
    import quality

    monkeypatch.setattr(
        "sys.argv", ["quality.py", "fabsa", "--list", *["--teacher-encoder", "folder"] * given]
    )
    quality.main()
    listed = capsys.readouterr().out
    assert "fabsa/all/product-0" in listed
    assert ("fabsa/all/taught-0" in listed) == given

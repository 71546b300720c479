"""Split, evaluation, export and registration: the pipeline from files to a champion."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file
from sklearn.metrics import f1_score, precision_recall_fscore_support

from data.annotations import Annotation, Target, to_target
from data.errors import ModelError, NotFoundError
from data.settings import Settings
from data.text import first_rows, normalise, position, text_hash
from model.comment_tagger import CommentTagger
from model.engine import OnnxEngine
from model.registry import find_model
from tests.conftest import write_comment
from training.evaluation import evaluate, evaluate_model
from training.export import export_engines
from training.pipeline import evaluate_file, train
from training.regime import choose_regime
from training.registration import (
    current_champion,
    environment,
    list_versions,
    promote,
    read_evaluation,
    register_model,
    rollback,
)
from training.split import split_by_text


@given(st.lists(st.text(max_size=12), max_size=60))
def test_no_text_stands_on_two_sides(comments):
    comments = [*comments, *(comment.upper() + " !" for comment in comments)]
    split = split_by_text(comments, 0.3, 0.3)
    sides = [{normalise(comments[i]) for i in rows} for rows in (split.train, split.validation, split.test)]
    assert not sides[0] & sides[1]
    assert not sides[0] & sides[2]
    assert not sides[1] & sides[2]
    rows = np.concatenate([split.train, split.validation, split.test])
    assert sorted(rows.tolist()) == list(range(len(comments)))


def test_the_split_has_its_shares_and_does_not_depend_on_company():
    comments = [f"comment number {i}" for i in range(4000)]
    split = split_by_text(comments, 0.1, 0.2)
    assert 0.17 < len(split.test) / 4000 < 0.23
    assert 0.08 < len(split.validation) / 4000 < 0.12
    alone = {comments[i] for i in split.test}
    part = split_by_text(comments[::3], 0.1, 0.2)
    assert {comments[::3][i] for i in part.test} == alone & set(comments[::3])


def test_normalised_text():
    assert normalise("  Billed TWICE!! ") == normalise("billed, twice") == "billed twice"
    assert normalise("???") == "???"
    assert text_hash("Ok.") == text_hash("ok")
    assert 0 <= position("x") < 1


def test_a_text_is_taken_at_the_first_of_its_rows_in_the_order_of_texts():
    comments = ["Queue again", "billed twice", "Über", "BILLED, twice!", "queue: again", "\U0001f642", ""]
    assert first_rows(comments) == [6, 1, 0, 2, 5]
    assert first_rows(comments) == np.unique([normalise(c) for c in comments], return_index=True)[1].tolist()
    assert first_rows([]) == []


def test_metrics_agree_with_scikit_learn():
    rng = np.random.default_rng(5)
    present = (rng.random((300, 4, 3)) < 0.2).astype(np.float32)
    chosen = rng.random((300, 4, 3)) < 0.25
    found = evaluate(chosen, present, np.ones((300, 4), np.float32), tuple("abcd"))
    true, predicted = present.reshape(300, -1), chosen.reshape(300, -1)
    assert found.pair_micro.f1 == pytest.approx(f1_score(true, predicted, average="micro"))
    assert found.pair_macro_f1 == pytest.approx(f1_score(true, predicted, average="macro"))
    code_true, code_predicted = present.any(axis=2), chosen.any(axis=2)
    p, r, f, s = precision_recall_fscore_support(code_true, code_predicted)
    for i, code in enumerate("abcd"):
        score = found.codes[code]
        assert (score.precision, score.recall, score.f1, score.support) == pytest.approx(
            (p[i], r[i], f[i], s[i])
        )


def test_unknown_codes_are_left_out_of_metrics():
    present = np.zeros((2, 1, 3), np.float32)
    chosen = np.zeros((2, 1, 3), bool)
    present[0, 0, 0] = 1
    chosen[:, 0, 0] = True
    everything = evaluate(chosen, present, np.ones((2, 1), np.float32), ("a",))
    masked = evaluate(chosen, present, np.array([[1.0], [0.0]], np.float32), ("a",))
    assert everything.pair_micro.f1 == pytest.approx(2 / 3)
    assert masked.pair_micro.f1 == 1.0
    assert json.dumps(masked.to_dict())


def test_the_exported_network_is_the_trained_one(classifier, annotations, taxonomy, tmp_path):
    comments = [row.comment for row in annotations[:200]]
    classifier.save(tmp_path)
    (tmp_path / "taxonomy.yaml").write_text(taxonomy.to_yaml(), encoding="utf-8")
    assert export_engines(classifier, tmp_path, comments).engines["onnx"].difference < 1e-4
    tagger = CommentTagger.load(tmp_path, threads=1)
    assert np.array_equal(tagger.choose(comments), classifier.predict(comments))
    told, many = [], [f"{comment} {i}" for i in range(3) for comment in comments]
    everything = tagger.probabilities(many, lambda *read: told.append(read))
    assert told == [(512, 600), (600, 600)]
    assert everything[500:] == pytest.approx(tagger.probabilities(many[500:]), abs=1e-4)
    assert tagger.probabilities([]).shape == (0, *everything.shape[1:])
    (tmp_path / "model.onnx").write_bytes(b"half")
    with pytest.raises(ModelError, match="cannot be loaded"):
        CommentTagger.load(tmp_path)


def test_training_registers_a_champion_with_its_facts(trained_home, files):
    (version,) = list_versions(trained_home)
    assert version.champion
    assert version.version == 1
    assert version.metrics["pair_micro_f1"] > 0.9
    assert version.params["annotations"] == "600"
    assert len(version.params["annotations_sha256"]) == 64
    assert read_evaluation(1, trained_home)["codes"]["billing.charge"]["support"] > 5
    assert "numpy==" in environment()


def test_the_logged_model_holds_nothing_pickled_and_tags_through_mlflow(trained_home):
    import mlflow

    location = find_model("models:/reason-codes@champion", trained_home)
    assert location.name == "reason-codes/1"
    root = location.folder.parent.parent
    assert not [p for p in root.rglob("*") if p.suffix in {".pkl", ".bin", ".pt", ".pickle"}]
    model = mlflow.pyfunc.load_model("models:/reason-codes@champion")
    lines = model.predict(pd.DataFrame({"comment": ["again the overcharged. then it was so", "", None]}))
    tags = [json.loads(line) for line in lines]
    assert [(t["code"], t["polarity"]) for t in tags[0]] == [("billing.charge", "negative")]
    assert tags[1:] == [[], []]


# Reads with what is installed for the logged model's own requirements, and nothing else.
NARROW = """
import json
import re
import sys
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path

root, comment = Path(sys.argv[1]), sys.argv[2]
wanted = (root / "requirements.txt").read_text().split()
allowed = set()
while wanted:
    name = re.split(r"[^A-Za-z0-9._-]", wanted.pop())[0]
    name = re.sub(r"[._-]+", "-", name).lower()
    if name in allowed:
        continue
    try:
        needs = metadata.requires(name) or []
    except metadata.PackageNotFoundError:  # for another system
        continue
    allowed.add(name)
    wanted += [need.split(";")[0] for need in needs if "extra ==" not in need]
owners = {
    module: {re.sub(r"[._-]+", "-", name).lower() for name in names}
    for module, names in metadata.packages_distributions().items()
}


class Narrow(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        owner = owners.get(name.partition(".")[0])
        hidden = owner and not owner & (allowed | {"whyscore"})  # its rooms are beside the logged model
        return None if hidden else super().find_spec(name, path, target)


sys.meta_path[sys.meta_path.index(PathFinder)] = Narrow
sys.path.insert(0, str(root / "code"))
from model.comment_tagger import CommentTagger

assert Path(sys.modules["model"].__path__[0]).is_relative_to(root)
(folder,) = (root / "artifacts").iterdir()
(tags,) = CommentTagger.load(folder).tag([comment])
print(json.dumps([tag.code for tag in tags]))
"""


def test_the_logged_model_tags_with_its_own_requirements_alone(trained_home, tmp_path):
    root = find_model("models:/reason-codes/1", trained_home).folder.parent.parent
    command = [sys.executable, "-c", NARROW, str(root), "again the overcharged. then it was so"]
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=tmp_path, env=outside, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout) == ["billing.charge"]


def test_promotion_and_the_way_back(own_home, trained_home):
    folder = find_model(None, own_home).folder
    second = register_model(folder, own_home, {}, {}, {"codes": {}}).version
    third = register_model(folder, own_home, {}, {}, {"codes": {}}).version
    assert current_champion(own_home) == 1
    assert promote(second, own_home) == 1
    assert promote(third, own_home) == second
    assert find_model(None, own_home).name == f"reason-codes/{third}"
    assert rollback(own_home) == second
    assert rollback(own_home) == 1
    with pytest.raises(ModelError, match="no earlier champion"):
        rollback(own_home)
    with pytest.raises(NotFoundError, match="no version 99"):
        promote(99, own_home)
    assert len(list_versions(trained_home)) == 1  # other tests count on it


@pytest.fixture
def dead(tmp_path, monkeypatch):
    """Settings with a registry that nobody answers for."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    return Settings(home=tmp_path, threads=1, max_tokens=64, registry_uri="http://127.0.0.1:9")


def test_a_registry_that_does_not_answer_is_said_before_anything_is_fitted(
    dead, files, tiny_encoder, fit_settings
):
    told = []
    given = files / "annotations.jsonl", files / "taxonomy.yaml", dead
    with pytest.raises(ModelError, match=r"\Athe model registry cannot be used \(.*127\.0\.0\.1"):
        train(*given, encoder=str(tiny_encoder), fit=fit_settings, on_progress=told.append)
    assert told == []


def test_a_registry_that_is_gone_when_a_model_is_to_be_registered_is_one_sentence(trained_home, dead):
    folder = find_model("models:/reason-codes/1", trained_home).folder
    with pytest.raises(ModelError, match="the model registry cannot be used") as caught:
        register_model(folder, dead, {}, {}, {"codes": {}})
    assert "\n" not in str(caught.value)


def test_a_fit_whose_model_could_not_be_released_is_not_made_again(
    trained_home, files, tiny_encoder, fit_settings, tmp_path, monkeypatch
):
    settings, told = Settings(home=tmp_path, threads=1, max_tokens=64), []

    def again():
        given = files / "annotations.jsonl", files / "taxonomy.yaml", settings
        return train(*given, encoder=str(tiny_encoder), fit=fit_settings, on_progress=told.append)

    def fail(*_):
        raise ModelError("the disk is full")

    with monkeypatch.context() as gone:
        gone.setattr("training.release.export_engines", fail)
        with pytest.raises(ModelError, match="disk is full"):
            again()
    assert told
    told.clear()
    trained = again()
    assert told == []
    assert not list((tmp_path / "unfinished").iterdir())
    models = [find_model("models:/reason-codes/1", home).folder for home in (settings, trained_home)]
    ours, whole = (load_file(folder / "model.safetensors") for folder in models)
    assert ours.keys() == whole.keys()
    assert all(np.array_equal(ours[name], whole[name]) for name in whole)
    assert json.loads(json.dumps(trained.evaluation.to_dict())) == read_evaluation(1, trained_home)


def test_models_that_are_not_there_are_one_sentence(trained_home, tmp_path):
    from data.settings import Settings

    with pytest.raises(ModelError, match="whyscore train"):
        find_model(None, Settings(home=tmp_path))
    for uri in ("models:/reason-codes/77", "models:/nothing@champion", str(tmp_path)):
        with pytest.raises(ModelError) as caught:
            find_model(uri, trained_home)
        assert "\n" not in str(caught.value)


def test_evaluation_leaves_out_what_the_model_was_fitted_on(trained_home, files, tmp_path):
    folder = find_model("models:/reason-codes/1", trained_home).folder
    found = evaluate_file(files / "annotations.jsonl", folder, trained_home)
    assert found.seen > 400
    assert found.evaluation.comments == 600 - found.seen
    assert found.evaluation.pair_micro.f1 > 0.9


def test_a_long_evaluation_reads_some_thousand_comments_at_a_time(trained_home, tmp_path, monkeypatch):
    """What an engine says of each word is by far more than the probabilities, and nobody asks for it."""
    folder, rng = find_model("models:/reason-codes/1", trained_home).folder, np.random.default_rng(3)
    made = [write_comment(rng) for _ in range(6000)]
    rows = [Annotation(f"n{i}", f"{text} {i}", labels, 1) for i, (text, labels) in enumerate(made)]
    lines = [json.dumps(row.to_record()) for row in rows]
    (tmp_path / "many.jsonl").write_text("\n".join(lines), encoding="utf-8")
    sizes, read = [], OnnxEngine.read
    monkeypatch.setattr(OnnxEngine, "read", lambda self, some: sizes.append(len(some)) or read(self, some))
    found = evaluate_file(tmp_path / "many.jsonl", folder, trained_home).evaluation
    assert sum(sizes) == found.comments == 6000
    assert max(sizes) <= 4096
    tagger, comments = CommentTagger.load(folder, 1), [row.comment for row in rows]
    targets = tagger.labels.encode([to_target(row, tagger.taxonomy) for row in rows])
    silent = tagger.abstains(comments)
    at_once = tagger.description.calibrate(tagger.engine.read(tagger.tokenize(comments)).probabilities)
    whole = evaluate_model(at_once, *targets, tagger.description, silent)
    assert found.codes == whole.codes
    assert found.abstained == silent.sum()
    assert found.reliability.to_dict() == pytest.approx(whole.reliability.to_dict())


@pytest.mark.slow
def test_a_taxonomy_alone_makes_a_model_that_tags(files, tiny_encoder, tmp_path):
    """No annotation is needed for a first model; it says in which regime it was made."""
    settings, told = Settings(home=tmp_path / "home"), []
    trained = train(None, files / "taxonomy.yaml", settings, encoder=str(tiny_encoder), on_stage=told.append)
    assert trained.summary["regime"] == "definitions"
    assert any(f"whyscore starter --encoder {tiny_encoder}" in stage for stage in told)
    assert trained.evaluation.comments == 0
    assert trained.registered.champion


def test_the_regime_follows_what_there_is_to_learn_from():
    codes = ["a", "b"]
    one = Target(frozenset({("a", "negative")}), frozenset())
    assert choose_regime([], codes).regime == "definitions"
    assert choose_regime([one] * 19, codes).regime == "definitions"
    assert choose_regime([one] * 20, codes).regime == "few-shot"
    assert choose_regime([one] * 1000, codes).regime == "full"
    assert "1 of 2 codes apply to none of them" in choose_regime([one] * 20, codes).reason
    older = Target(one.labels, frozenset({"b"}))
    assert "1 of 2 codes came later" in choose_regime([older] * 20, codes).reason

"""A model taken further: new codes beside codes that stay bit for bit, or every code fitted anew."""

import dataclasses
import json
import sys

import numpy as np
import pytest
import torch

from data.annotations import Annotation, CodeLabel
from data.errors import InputError, ModelError
from data.settings import Settings
from data.taxonomy import parse_taxonomy
from model.classifier import ReasonCodeClassifier
from model.comment_tagger import CommentTagger
from model.operating_points import POINT_NAMES
from model.registry import find_model
from tests.conftest import TAXONOMY
from training.pipeline import evaluate_file, train
from training.refit import refit
from training.registration import list_versions
from training.release import read_seen
from whyscore.cli import main

WIDER = """
name: tiny
version: 2
codes:
  - {id: mood.awful, definition: Something was awful}
  - {id: support.reach}
  - {id: billing.charge, label: Charge, definition: A charge}
  - {id: product.quality}
migrations:
  - {version: 2, add: mood.awful}
"""


@pytest.fixture(scope="module")
def base(files, tiny_encoder, fit_settings, tmp_path_factory):
    """The folder of a model that knows three codes, each comment read twice: it leaves most to late codes."""
    settings = Settings(home=tmp_path_factory.mktemp("base"), threads=1, max_tokens=64)
    plan = dataclasses.replace(fit_settings, consistency_every=1)
    given = files / "annotations.jsonl", files / "taxonomy.yaml", settings
    train(*given, encoder=str(tiny_encoder), fit=plan)
    return find_model("models:/reason-codes/1", settings).folder


@pytest.fixture(scope="module")
def wider(tmp_path_factory, annotations):
    """A taxonomy with a fourth code; half of the annotations are older than it."""
    folder = tmp_path_factory.mktemp("wider")
    (folder / "taxonomy.yaml").write_text(WIDER, encoding="utf-8")
    rows = []
    for i, row in enumerate(annotations):
        new = i % 2 == 0
        more = (CodeLabel("mood.awful"),) if new and "awful" in row.comment else ()
        rows.append(dataclasses.replace(row, labels=row.labels + more, taxonomy_version=1 + new))
    rows.append(Annotation("none", "the thing again", (), 2))
    lines = [json.dumps(row.to_record()) for row in rows]
    (folder / "annotations.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return Settings(home=tmp_path_factory.mktemp("refits"), threads=1, max_tokens=64)


@pytest.fixture(scope="module")
def widened(base, wider, home):
    """A model with the new code, as the library makes it."""
    return refit(wider / "annotations.jsonl", wider / "taxonomy.yaml", str(base), home)


def folder_of(trained, settings):
    return find_model(f"models:/{settings.model_name}/{trained.registered.version}", settings).folder


@pytest.mark.slow
def test_the_other_codes_stay_bit_for_bit(base, widened, home, annotations):
    folder = folder_of(widened, home)
    before, after = ReasonCodeClassifier.load(base), ReasonCodeClassifier.load(folder)
    assert after.labels.codes == (*before.labels.codes, "mood.awful")
    old, new = before.network_.state_dict(), after.network_.state_dict()
    for name, value in old.items():
        same = new[name][: len(value)] if name in {"definition", "query", "weight", "bias"} else new[name]
        assert torch.equal(same, value), name
    one, other = before.description_, after.description_
    assert other.thresholds[:3] == one.thresholds
    assert other.calibration.scale[:3] == one.calibration.scale
    assert other.calibration.shift[:3] == one.calibration.shift
    assert other.calibration.scale[3] != (1.0,) * 3
    assert list(other.operating_points) == list(one.operating_points) == list(POINT_NAMES)
    for name, point in one.operating_points.items():
        wider_point = other.operating_points[name]
        assert wider_point.thresholds[:3] == point.thresholds
        assert wider_point.codes == point.codes | {"mood.awful": wider_point.codes["mood.awful"]}
    comments = [row.comment for row in annotations]
    assert np.array_equal(after.predict_proba(comments)[:, :3], before.predict_proba(comments))
    taggers = [CommentTagger.load(place, threads=1) for place in (base, folder)]
    assert taggers[0].novelty is not None
    assert taggers[1].novelty.threshold == taggers[0].novelty.threshold
    served = [tagger.probabilities(comments) for tagger in taggers]
    assert np.array_equal(served[1][:, :3], served[0])
    own, more = (tagger.engine.read(tagger.tokenize(comments[:50])).contribution for tagger in taggers)
    assert all(np.array_equal(b[:3], a) for a, b in zip(own, more, strict=True))


@pytest.mark.slow
def test_the_new_code_is_learnt_and_the_summary_says_how(widened, home, base, wider, annotations):
    summary = widened.summary
    assert summary["regime"] == "new-codes"
    assert summary["base_model"].startswith(f"{base.name}-")
    assert summary["new_codes"] == "mood.awful"
    assert "mood.awful" in summary["regime_reason"]
    assert summary["cross_validated_code_f1"] > 0.5
    assert widened.evaluation.codes["mood.awful"].support > 0
    assert widened.evaluation.comments == summary["test"] > 10
    folder = folder_of(widened, home)
    comments = [row.comment for row in annotations]
    awful = np.array(["awful" in comment for comment in comments])
    likely = ReasonCodeClassifier.load(folder).predict_proba(comments)[:, 3].max(axis=-1)
    assert (likely[awful][:, None] > likely[~awful]).mean() > 0.85  # the area under the ROC curve
    assert read_seen(base) < read_seen(folder)
    found = evaluate_file(wider / "annotations.jsonl", folder, home)
    assert found.evaluation.comments == summary["test"]
    assert found.evaluation.pair_micro == widened.evaluation.pair_micro
    (version,) = list_versions(home)
    assert version.champion
    assert version.params["regime"] == "new-codes"


@pytest.mark.slow
def test_the_command_takes_a_model_further(base, wider, home, widened, monkeypatch, capsys):
    """The same again by the command line: no comment is read twice, and a fitted head goes on from it."""
    monkeypatch.setenv("WHYSCORE_HOME", str(home.home))
    monkeypatch.setenv("WHYSCORE_THREADS", "1")

    def whyscore(*arguments):
        monkeypatch.setattr(sys, "argv", ["whyscore", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, *capsys.readouterr()

    files = (wider / "annotations.jsonl", "--taxonomy", wider / "taxonomy.yaml")
    again = ("--from", f"models:/reason-codes/{widened.registered.version}", "--head-only", "--json")
    code, out, _ = whyscore("train", *files, *again, "--no-promote")
    assert code == 0
    told = json.loads(out)
    assert told["training"]["regime"] == "head-only"
    assert told["training"]["base_model"] == "reason-codes/1"
    assert not told["champion"]
    assert told["evaluation"]["pair_micro_f1"] > 0.9
    former = ReasonCodeClassifier.load(folder_of(widened, home))
    fitted = ReasonCodeClassifier.load(find_model(told["model"], home).folder)
    for name, value in former.network_.state_dict().items():
        assert torch.equal(fitted.network_.state_dict()[name], value) == (
            name not in {"query", "weight", "bias"}
        ), name
    one, other = fitted.description_, former.description_
    assert one.calibration != other.calibration
    assert list(one.operating_points) == list(POINT_NAMES)
    for name, point in one.operating_points.items():
        assert point.thresholds != other.operating_points[name].thresholds
        assert point.expected.recall > 0.5
        assert point.codes["mood.awful"].mentions > 0
    assert told["evaluation"]["operating_points"].keys() == set(POINT_NAMES)
    code, out, _ = whyscore("models", "compare", "1", "2", "--json")
    assert code == 0
    assert json.loads(out)["f1"]["mood.awful"]["b"] is not None
    code, _, err = whyscore("train", *files, *again[:2], "--new-codes")
    assert code == 2
    assert "knows every code" in err


def test_states_are_read_once(base, wider, home, monkeypatch):
    """A second refit of the same comments under the same encoder asks the encoder for none of them."""
    monkeypatch.setattr("training.refit.release", lambda *parts, **_: parts)
    told = []
    for _ in range(2):
        told.append([])
        refit(
            wider / "annotations.jsonl",
            wider / "taxonomy.yaml",
            str(base),
            home,
            on_progress=lambda *progress: told[-1].append(progress),
        )
    assert told[1] == []


def test_few_examples_many_older_comments_and_a_code_that_is_gone(base, wider, home, monkeypatch):
    """Deprecated codes leave the model; the others keep their rows and thresholds."""
    monkeypatch.setattr("training.refit.release", lambda *parts, **_: parts)
    text = WIDER.replace("version: 2\ncodes", "version: 3\ncodes")
    (wider / "gone.yaml").write_text(text + "  - {version: 3, deprecate: support.reach}\n", encoding="utf-8")
    assert "support.reach" not in parse_taxonomy((wider / "gone.yaml").read_text()).active
    classifier, _, _, _, facts = refit(wider / "annotations.jsonl", wider / "gone.yaml", str(base), home)
    assert classifier.labels.codes == ("billing.charge", "product.quality", "mood.awful")
    before = ReasonCodeClassifier.load(base)
    assert torch.equal(classifier.network_.weight[:2], before.network_.weight[[0, 2]])
    assert classifier.description_.thresholds[:2] == tuple(before.description_.thresholds[i] for i in (0, 2))
    assert facts["regime"] == "new-codes"


def test_codes_that_nobody_annotated_stay_when_the_head_is_fitted(base, home, files, monkeypatch, tmp_path):
    monkeypatch.setattr("training.refit.release", lambda *parts, **_: parts)
    text = (
        TAXONOMY.replace("version: 1", "version: 2") + "migrations:\n  - {version: 2, add: support.reach}\n"
    )
    (tmp_path / "t.yaml").write_text(text, encoding="utf-8")
    rows = [json.loads(line) for line in (files / "annotations.jsonl").read_text().splitlines()[:120]]
    for row in rows:
        row["codes"] = [code for code in row["codes"] if code["code"] != "support.reach"]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    given = (tmp_path / "a.jsonl", tmp_path / "t.yaml", str(base), home)
    classifier, _, _, _, facts = refit(*given, regime="head-only")
    before = ReasonCodeClassifier.load(base)
    reach = before.labels.codes.index("support.reach")
    for name in ("query", "weight", "bias"):
        own, former = getattr(classifier.network_, name), getattr(before.network_, name)
        assert torch.equal(own[reach], former[reach])
        assert not torch.equal(own[0], former[0])
    assert classifier.description_.thresholds[reach] == before.description_.thresholds[reach]
    assert facts["regime_reason"].startswith("2 of 3 codes")


def test_an_encoder_that_has_changed_is_refused(base, wider, home, tmp_path, monkeypatch):
    source = ReasonCodeClassifier.load(base).description_
    other = tmp_path / "model"
    other.mkdir()
    for path in base.rglob("*"):
        if path.is_file():
            (other / path.relative_to(base)).parent.mkdir(parents=True, exist_ok=True)
            (other / path.relative_to(base)).write_bytes(path.read_bytes())
    dataclasses.replace(source, encoder_sha256="0" * 64).write(other)
    with pytest.raises(ModelError, match="not the one that the model was made from"):
        refit(wider / "annotations.jsonl", wider / "taxonomy.yaml", str(other), home)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--new-codes",), "--from"),
        (("--from", "m", "--new-codes", "--head-only"), "exclude each other"),
        (("--from", "m", "--reader"), "--head-only"),
        (("--from", "m", "--encoder", "e"), "--encoder"),
        (("--from", "models:/reason-codes/9"), "no model"),
    ],
)
def test_contradictions_are_one_sentence(wider, monkeypatch, capsys, tmp_path, options, words):
    monkeypatch.setenv("WHYSCORE_HOME", str(tmp_path))
    files = (str(wider / "annotations.jsonl"), "--taxonomy", str(wider / "taxonomy.yaml"))
    monkeypatch.setattr(sys, "argv", ["whyscore", "train", *files, *options])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert words in err
    assert "Traceback" not in err


def test_no_annotations_are_one_sentence(base, wider, home, tmp_path):
    (tmp_path / "a.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="no annotated comments"):
        refit(tmp_path / "a.jsonl", wider / "taxonomy.yaml", str(base), home)

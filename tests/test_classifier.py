"""The classifier learns, masks what is unknown, repeats itself, and survives a round trip to disk."""

import dataclasses
import json
import shutil
import tracemalloc

import numpy as np
import pytest

from data.annotations import Target
from data.errors import ModelError
from model.classifier import ReasonCodeClassifier
from model.description import read_description
from model.network import ReasonCodeNetwork
from model.operating_points import POINT_NAMES


def test_it_learns_codes_and_polarity(classifier, annotations, targets):
    held_out = slice(550, 600)
    present, _ = classifier.labels.encode(targets[held_out])
    chosen = classifier.predict([row.comment for row in annotations[held_out]])
    assert 2 * (chosen * present).sum() / (chosen.sum() + present.sum()) > 0.93


def test_probabilities_have_the_shape_of_the_label_space(classifier):
    probabilities = classifier.predict_proba(["my fee was awful", "the thing"])
    assert probabilities.shape == (2, 3, 3)
    assert ((probabilities >= 0) & (probabilities <= 1)).all()


def test_a_comment_scores_the_same_alone_and_in_company(classifier):
    alone = classifier.predict_proba(["my fee was awful"])
    company = classifier.predict_proba(
        ["my fee was awful", "the queue was so very very bad today again it was"]
    )
    np.testing.assert_allclose(alone[0], company[0], atol=1e-5)


def test_saved_and_loaded_it_is_the_same_bit_for_bit(classifier, annotations, tmp_path):
    classifier.save(tmp_path)
    again = ReasonCodeClassifier.load(tmp_path)
    comments = [row.comment for row in annotations[:100]]
    assert np.array_equal(classifier.predict_proba(comments), again.predict_proba(comments))
    assert np.array_equal(classifier.predict(comments), again.predict(comments))
    assert again.description_ == classifier.description_
    assert not [p for p in tmp_path.rglob("*") if p.suffix in {".pkl", ".bin", ".pt", ".pickle"}]


def test_the_same_seed_gives_the_same_model(tiny_encoder, annotations, targets, taxonomy, fit_settings):
    def fit(seed):
        settings = dataclasses.replace(fit_settings, epochs=1, seed=seed)
        model = ReasonCodeClassifier(taxonomy.active, str(tiny_encoder), settings, 64)
        comments = [row.comment for row in annotations[:96]]
        return model.fit(comments, targets[:96]).predict_proba(comments)

    first, second, other = fit(3), fit(3), fit(4)
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_one_long_comment_of_the_validation_part_costs_no_memory_for_each_of_the_others(
    tiny_encoder, annotations, targets, taxonomy, fit_settings
):
    settings = dataclasses.replace(fit_settings, epochs=1)
    model = ReasonCodeClassifier(taxonomy.active, str(tiny_encoder), settings, 64)
    comments = [row.comment for row in annotations]
    long = "the fee was so awful " * 10_000  # as an array of equal widths it makes 400 MB of these
    tracemalloc.start()
    model.fit(comments[:40], targets[:40], ([*comments[40:540], long], targets[40:541]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
    assert set(model.description_.operating_points) == set(POINT_NAMES)


def test_an_unknown_code_teaches_nothing(tiny_encoder, annotations, targets, taxonomy, fit_settings):
    """Masking a code everywhere leaves its outputs where they started, whatever its labels say."""
    code = taxonomy.active.index("support.reach")
    settings = dataclasses.replace(fit_settings, epochs=1)
    comments = [row.comment for row in annotations[:96]]

    def fit(rows):
        model = ReasonCodeClassifier(taxonomy.active, str(tiny_encoder), settings, 64)
        return model.fit(comments, rows).network_

    masked = [Target(t.labels, frozenset({"support.reach"})) for t in targets[:96]]
    flipped = [
        Target(t.labels ^ {("support.reach", "negative")}, frozenset({"support.reach"})) for t in targets[:96]
    ]
    a, b = fit(masked), fit(flipped)
    assert a.bias[code].tolist() == [0.0] * 3
    assert all(
        np.array_equal(x.detach().numpy(), y.detach().numpy())
        for x, y in zip(a.parameters(), b.parameters(), strict=True)
    )


def test_attention_covers_the_tokens_of_each_comment(classifier):
    _, attention = classifier.predict_with_attention(["my fee was awful", "the thing"])
    assert [a.shape for a in attention] == [(3, 6), (3, 4)]
    for weights in attention:
        np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-5)


def test_a_fit_makes_all_its_passes_and_keeps_the_last(classifier, fit_settings):
    assert len(classifier.fit_result_.history) == fit_settings.epochs
    assert classifier.fit_result_.best_epoch == fit_settings.epochs


def test_with_patience_a_fit_stops_and_keeps_its_best_pass(
    tiny_encoder, annotations, targets, taxonomy, fit_settings
):
    settings = dataclasses.replace(fit_settings, epochs=30, patience=2)
    comments = [row.comment for row in annotations[:200]]
    made = ReasonCodeClassifier(taxonomy.active, str(tiny_encoder), settings, 64)
    made.fit(comments[:128], targets[:128], (comments[128:], targets[128:200]))
    scores = [epoch["validation_f1"] for epoch in made.fit_result_.history]
    best = int(np.argmax(scores)) + 1
    assert made.fit_result_.best_epoch == best
    assert len(scores) == best + 2 < 30


def test_an_unfitted_classifier_and_no_comments_are_errors():
    model = ReasonCodeClassifier(("a",))
    with pytest.raises(ModelError, match="not fitted"):
        model.predict(["x"])
    with pytest.raises(ModelError, match="no annotated comments"):
        model.fit([], [])


@pytest.mark.parametrize(
    "broken", ["model.safetensors", "reason_codes.json", "encoder/config.json", "tokenizer.json"]
)
def test_a_folder_that_is_not_whole_is_one_sentence(classifier, tmp_path, broken):
    classifier.save(tmp_path)
    (tmp_path / broken).write_bytes(b"not what it was")
    with pytest.raises(ModelError, match="whole|read") as caught:
        ReasonCodeClassifier.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_calibration_and_operating_points_survive_the_disk(classifier, annotations, tmp_path):
    comments = [row.comment for row in annotations[550:]]
    classifier.save(tmp_path)
    again = ReasonCodeClassifier.load(tmp_path)
    assert again.description_.calibration == classifier.description_.calibration
    for name in POINT_NAMES:
        assert np.array_equal(classifier.predict(comments, name), again.predict(comments, name))
        assert again.description_.operating_points[name].codes["billing.charge"].mentions > 5


def test_a_description_of_an_older_version_still_loads(classifier, tmp_path):
    classifier.save(tmp_path)
    path = tmp_path / "reason_codes.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    for name in ("calibration", "operating_points"):
        del content[name]
    path.write_text(json.dumps(content), encoding="utf-8")
    old = read_description(tmp_path)
    assert np.array_equal(old.threshold_array(), classifier.description_.threshold_array())
    values = np.full((1, 3, 3), 0.3, np.float32)
    assert np.array_equal(old.calibrate(values), values)
    with pytest.raises(ModelError, match="no operating point 'high_recall'"):
        old.threshold_array("high_recall")


def test_a_comment_that_stands_often_does_not_move_the_thresholds(
    tiny_encoder, annotations, targets, taxonomy, fit_settings
):
    comments = [row.comment for row in annotations]

    def fit(rows):
        settings = dataclasses.replace(fit_settings, epochs=1)
        model = ReasonCodeClassifier(taxonomy.active, str(tiny_encoder), settings, 64)
        validation = [comments[i] for i in rows], [targets[i] for i in rows]
        return model.fit(comments[:96], targets[:96], validation).description_

    rows = list(range(450, 550))
    assert fit(rows) == fit(rows + [450] * 300)


@pytest.mark.parametrize("every", [1, 2, 3])
def test_reading_a_batch_in_parts_learns_the_same(
    tiny_encoder, annotations, targets, taxonomy, fit_settings, monkeypatch, every
):
    """Gradients of parts add up to the batch's own, so that memory is the only difference.

    But for the contrast, which is within a part.
    """
    import model.fitting

    reads = {"consistency_from": 0, "consistency_after": 0, "consistency_every": every}
    settings = dataclasses.replace(fit_settings, epochs=1, batch_size=16, contrast=0.0, **reads)
    comments = [row.comment for row in annotations[:64]]

    def fit():
        made = ReasonCodeClassifier(taxonomy.active, str(_without_dropout(tiny_encoder)), settings, 64)
        made.start()
        made.network_.dropout.p = 0.0
        pad_id = made.description_.pad_id
        fold = made._fold(comments, targets[:64])
        model.fitting.fit_network(made.network_, fold, None, pad_id, settings)
        return made.predict_proba(comments)

    whole = fit()
    parts = model.fitting.memory_parts
    monkeypatch.setattr("model.fitting.memory_parts", lambda *given: parts(*given, most=6 * 20**2))
    np.testing.assert_allclose(fit(), whole, atol=2e-5)


@pytest.mark.parametrize(("every", "rows"), [(1, 128), (2, 96), (4, 80)])
def test_comments_read_alone_are_read_twice_as_often_as_others(
    tiny_encoder, annotations, targets, taxonomy, fit_settings, monkeypatch, every, rows
):
    import model.fitting

    reads = {"consistency_from": 0, "consistency_after": 0, "consistency_every": every}
    settings = dataclasses.replace(fit_settings, epochs=1, batch_size=16, contrast=0.0, **reads)
    comments = [row.comment for row in annotations[:64]]
    parts, forward, read = model.fitting.memory_parts, ReasonCodeNetwork.forward, []

    def counted(network, input_ids, attention_mask):
        read.append(len(input_ids))
        return forward(network, input_ids, attention_mask)

    monkeypatch.setattr("model.fitting.memory_parts", lambda *given: parts(*given, most=1))
    monkeypatch.setattr(ReasonCodeNetwork, "forward", counted)
    ReasonCodeClassifier(taxonomy.active, str(tiny_encoder), settings, 64).fit(comments, targets[:64])
    assert sum(read) == rows


def _without_dropout(encoder):
    folder = encoder.parent / "without-dropout"
    if not folder.exists():
        shutil.copytree(encoder, folder)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def test_fitted_again_on_everything_it_keeps_its_operating_points(
    tiny_encoder, annotations, targets, taxonomy, fit_settings
):
    settings = dataclasses.replace(fit_settings, epochs=2)
    comments = [row.comment for row in annotations[:160]]
    made = ReasonCodeClassifier(taxonomy.active, str(tiny_encoder), settings, 64)
    made.fit(comments[:128], targets[:128], (comments[128:], targets[128:160]))
    before, points = made.predict_proba(comments), made.description_
    made.fit_again(comments, targets[:160])
    assert made.description_ == points
    assert not np.array_equal(made.predict_proba(comments), before)

"""Engines: they agree, a reduced precision must keep its F1, and the quickest is remembered."""

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from data.errors import ModelError
from model import engine_choice
from model.comment_tagger import CommentTagger
from model.engine import Reading
from model.engine_choice import CHOICES, choose_engine, measure
from model.engine_f1 import LabelledPart
from model.engine_record import ENGINE_RECORD, ENGINES, EngineCheck, open_engine, read_record
from model.engine_variants import derive_engines
from model.openvino_int8 import INT8_GRAPH, INT8_WEIGHTS, rounded, write_openvino_int8
from training.export import export_engines

LONG = " ".join(["the queue was so very awful and my fee again"] * 5)


@pytest.fixture(scope="module")
def part(annotations, targets):
    return [row.comment for row in annotations[450:550]], targets[450:550]


@pytest.fixture(scope="module")
def folder(classifier, part, taxonomy, tmp_path_factory):
    place = tmp_path_factory.mktemp("model")
    classifier.save(place)
    (place / "taxonomy.yaml").write_text(taxonomy.to_yaml(), encoding="utf-8")
    export_engines(classifier, place, *part)
    return place


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_reads_what_torch_reads(name, folder, classifier, part):
    comments = [*part[0], LONG, "sturdy", "sturdy"]
    reading = open_engine(name, folder, 0, 1).read(classifier.tokenize(comments))
    found = classifier.description_.calibrate(reading.probabilities)
    reduced = {"onnx-int8": 0.2, "openvino-bf16": 0.1, "openvino-int8": 0.1}
    np.testing.assert_allclose(found, classifier.predict_proba(comments), atol=reduced.get(name, 1e-4))
    assert reading.exact
    for comment, parts in zip(classifier.tokenize(comments), reading.contribution, strict=True):
        assert parts.shape == (3, 3, len(comment.ids))
    assert np.array_equal(found[-1], found[-2])


def test_batches_of_several_streams_come_back_in_order(folder, classifier, part):
    tokens = classifier.tokenize([*part[0], LONG] * 3)
    one = open_engine("openvino", folder, 0, 2, streams=1).read(tokens)
    two = open_engine("openvino", folder, 0, 2, streams=2).read(tokens)
    np.testing.assert_allclose(one.logits, two.logits, atol=1e-4)


@pytest.mark.parametrize("streams", [1, 2])
def test_threads_that_read_at_the_same_time_each_get_their_own(streams, folder, classifier, part):
    tokens = classifier.tokenize([*part[0], LONG])
    engine = open_engine("openvino", folder, 0, 2, streams=streams)
    whole = engine.read(tokens)
    parts = [(start, start + 1 + 17 * (start % 3)) for start in range(0, 80, 4)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda part: engine.read(tokens[slice(*part)]), parts * 3))
    for (start, end), reading in zip(parts * 3, found, strict=True):
        np.testing.assert_allclose(reading.logits, whole.logits[start:end], atol=1e-4)
        for own, same in zip(reading.contribution, whole.contribution[start:end], strict=True):
            np.testing.assert_allclose(own, same, atol=1e-4)


def test_a_large_table_of_words_is_kept_in_int8(tmp_path):
    import openvino
    from openvino import opset13 as ops

    rows = np.random.default_rng(0).normal(size=(5000, 64)).astype(np.float32)
    ids = ops.parameter([-1, -1], np.int64, name="ids")
    found = ops.gather(ops.constant(rows), ids, ops.constant(0))
    openvino.save_model(openvino.Model([found], [ids]), str(tmp_path / "g.xml"), compress_to_fp16=False)
    write_openvino_int8(tmp_path / "g.xml", tmp_path / "g.bin")
    assert (tmp_path / INT8_WEIGHTS).stat().st_size < rows.nbytes / 3
    graph = openvino.Core().read_model(str(tmp_path / INT8_GRAPH), str(tmp_path / INT8_WEIGHTS))
    asked = np.array([[0, 7], [4999, 7]])
    (read,) = openvino.compile_model(graph, "CPU")([asked]).values()
    np.testing.assert_allclose(read, rows[asked], atol=np.abs(rows).max() / 127)


def test_the_record_tells_differences_f1_and_digests(folder):
    record = read_record(folder)
    assert set(record.engines) == set(ENGINES)
    assert {"onnx", "openvino"} <= set(record.kept)
    assert record.engines["onnx"].difference < 1e-4
    assert record.engines["onnx"].f1 > 0.9
    for name in ("onnx-int8", "openvino-bf16", "openvino-int8"):
        check = record.engines[name]
        assert not check.kept or (abs(check.f1_expected_change) < 0.002 and check.f1_change is not None)
    graphs = {"model.onnx", "model.int8.onnx", "openvino.xml", "openvino.int8.xml"}
    assert set(record.files) == {*graphs, "openvino.weights", "openvino.int8.weights"}


class Shifted:
    """An engine whose every score is off."""

    def __init__(self, engine, shift):
        self.engine, self.shift = engine, shift

    def read(self, comments):
        found = self.engine.read(comments)
        return Reading(found.logits + self.shift, found.contribution, found.exact)


def derived(folder, classifier, comments, labelled, monkeypatch, shifted):
    def opened(name, *arguments):
        engine = open_engine(name, *arguments)
        return Shifted(engine, shifted[name]) if name in shifted else engine

    monkeypatch.setattr("model.engine_variants.open_engine", opened)
    monkeypatch.setattr("model.engine_record.EngineRecord.write", lambda *_: None)
    monkeypatch.setattr("model.engine_variants._derive", lambda *_: None)  # the files are there
    tokens = classifier.tokenize(comments)
    expected = classifier.predict_proba(comments)
    return derive_engines(folder, classifier.description_, tokens, expected, labelled, 1)


def test_a_reduced_precision_that_moves_f1_is_not_kept(folder, classifier, part, monkeypatch):
    labelled = LabelledPart(*classifier.labels.encode(part[1]), classifier.description_.threshold_array())
    shifted = {"onnx-int8": 3.0, "openvino-bf16": -9.0, "openvino-int8": 3.0}
    record = derived(folder, classifier, part[0], labelled, monkeypatch, shifted)
    for name in shifted:
        assert not record.engines[name].kept
        assert "F1 by" in record.engines[name].reason or "no bf16" in record.engines[name].reason
    assert record.kept == ("onnx", "openvino")


def test_without_labels_only_full_precision_is_kept(folder, classifier, part, monkeypatch):
    record = derived(folder, classifier, part[0], None, monkeypatch, {})
    assert record.kept == ("onnx", "openvino")
    assert record.engines["onnx-int8"].f1_change is None


def test_another_network_is_refused_whatever_its_name(folder, classifier, part, monkeypatch):
    record = derived(folder, classifier, part[0], None, monkeypatch, {"openvino": 1.0})
    assert "openvino" not in record.kept
    with pytest.raises(ModelError, match="differs from the trained one"):
        derived(folder, classifier, part[0], None, monkeypatch, {"onnx": 1.0})


@pytest.fixture
def rates(monkeypatch):
    """Stand in for the measurement; give what it finds, and how often it was asked."""
    state = {"asked": 0, "rates": {"onnx": 10.0, "openvino": 20.0}}

    def measured(*_):
        state["asked"] += 1
        return state["rates"]

    monkeypatch.setattr(engine_choice, "_measure_apart", measured)
    return state


def test_the_quickest_is_chosen_once_and_remembered(folder, tmp_path, rates):
    for _ in range(3):
        name, engine = choose_engine(folder, 0, 1, "auto", tmp_path)
        assert name == "openvino"
        assert type(engine).__name__ == "OpenVinoEngine"
    assert rates["asked"] == 1
    choose_engine(folder, 0, 2, "auto", tmp_path)  # with other threads it is another question
    assert rates["asked"] == 2


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff\xfe", b'{"KEY": {"engine": "abacus"}}', b'{"KEY": 5}', b"[" * 100_000],
)
def test_a_memory_that_makes_no_sense_is_made_anew(folder, tmp_path, rates, content):
    choose_engine(folder, 0, 1, "auto", tmp_path)
    (key,) = json.loads((tmp_path / CHOICES).read_text())  # which engines it names hangs on the processor
    (tmp_path / CHOICES).write_bytes(content.replace(b"KEY", key.encode()))
    assert choose_engine(folder, 0, 1, "auto", tmp_path)[0] == "openvino"
    assert rates["asked"] == 2
    assert json.loads((tmp_path / CHOICES).read_text())[key]["engine"] == "openvino"


def test_a_home_that_cannot_be_written_to_and_a_measurement_that_fails_leave_onnx(folder, tmp_path, rates):
    (tmp_path / "file").write_text("")
    assert choose_engine(folder, 0, 1, "auto", tmp_path / "file")[0] == "openvino"
    rates["rates"] = {}
    assert choose_engine(folder, 0, 1, "auto", None)[0] == "onnx"


def test_the_measurement_itself_tells_every_engines_rate(folder):
    found = engine_choice._measure_apart(folder, 1, read_record(folder).kept)
    assert set(found) == set(read_record(folder).kept)
    assert all(rate > 0 for rate in found.values())


def test_measuring_takes_the_best_of_several_readings():
    class Slow:
        def read(self, comments):
            return None

    ticks = iter([0.0, 5.0, 5.0, 7.0, 7.0, 11.0])
    assert measure(Slow(), ["a"] * 10, 10.0, lambda: next(ticks)) == 5.0


def test_a_file_that_was_changed_is_refused(folder, tmp_path):
    for path in folder.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = tmp_path / "openvino.weights"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x07")
    with pytest.raises(ModelError, match="not the one that was exported"):
        choose_engine(tmp_path, 0, 1, "openvino", None)
    assert choose_engine(tmp_path, 0, 1, "onnx", None)[0] == "onnx"
    weights.unlink()
    with pytest.raises(ModelError, match="no file"):
        choose_engine(tmp_path, 0, 1, "openvino", None)


def test_a_model_of_an_older_version_is_served_in_full_precision(folder, tmp_path, rates, classifier):
    for name in ("model.onnx", "reason_codes.json", "tokenizer.json", "taxonomy.yaml"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    rates["rates"] = {"openvino": 2.0, "onnx": 1.0}
    tagger = CommentTagger.load(tmp_path, 1, "auto")
    assert tagger.engine_name == "openvino"
    comments = ["my fee was awful", "sturdy"]
    np.testing.assert_allclose(tagger.probabilities(comments), classifier.predict_proba(comments), atol=1e-4)
    assert len(tagger.tag(comments)) == 2


def test_a_record_that_cannot_be_read_is_one_sentence(tmp_path):
    (tmp_path / ENGINE_RECORD).write_text('{"format": 1}')
    with pytest.raises(ModelError, match="cannot be read"):
        read_record(tmp_path)
    (tmp_path / ENGINE_RECORD).write_text('{"format": 9}')
    with pytest.raises(ModelError, match="does not know"):
        read_record(tmp_path)


def test_an_engine_that_is_not_kept_can_still_be_asked_for_by_name(folder, tmp_path, rates):
    record = read_record(folder)
    for path in folder.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    refused = EngineCheck(0.1, 0.5, -0.4, False, "it moves F1 by -40.00 points")
    dataclasses.replace(record, engines={**record.engines, "onnx-int8": refused}).write(tmp_path)
    rates["rates"] = {"onnx": 1.0}
    assert choose_engine(tmp_path, 0, 1, "auto", None)[0] == "onnx"
    assert choose_engine(tmp_path, 0, 1, "onnx-int8", None)[0] == "onnx-int8"


def test_an_engine_that_cannot_be_loaded_here_gives_way_to_onnx(folder, rates, monkeypatch):
    def opened(name, *arguments):
        if name == "openvino":
            raise ModelError("OpenVINO cannot be loaded on this machine")
        return open_engine(name, *arguments)

    monkeypatch.setattr(engine_choice, "open_engine", opened)
    assert choose_engine(folder, 0, 1, "auto", None)[0] == "onnx"
    with pytest.raises(ModelError, match="on this machine"):
        choose_engine(folder, 0, 1, "openvino", None)


def test_int8_is_left_out_where_its_sums_may_overflow(monkeypatch):
    monkeypatch.setattr(engine_choice.platform, "machine", lambda: "x86_64")
    for flags, expected in (
        ("avx2", ["onnx", "openvino"]),
        ("avx512_vnni", ["onnx", "onnx-int8", "openvino", "openvino-int8"]),
    ):
        monkeypatch.setattr(engine_choice, "_processor", lambda flags=flags: flags)
        assert engine_choice._safe_here(["onnx", "onnx-int8", "openvino", "openvino-int8"]) == expected


def test_weights_in_int8_are_off_by_half_a_step_at_most():
    weights = np.random.default_rng(0).standard_normal((5, 64)).astype(np.float32)
    weights[3] = 0
    whole, scale = rounded(weights)
    assert whole.dtype == np.int8
    assert (np.abs(whole * scale - weights) <= scale / 2 + 1e-7).all()
    assert not whole[3].any()

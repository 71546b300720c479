"""What each token contributes: exactly the score, in torch and as it is exported."""

import numpy as np
import pytest
import torch

from model.batch_shapes import BatchShapes
from model.definition_reader import DefinitionReader
from model.engine import OnnxEngine
from model.engine_choice import machine_key
from model.network import gather
from model.openvino_engine import OpenVinoEngine
from model.packed_network import PackedNetwork
from model.served_network import ServedNetwork
from model.tokens import pad
from training import export
from training.export import export_engines

COMMENTS = ["my fee was awful", "the queue was so very bad today. it broke", "sturdy"]


@pytest.fixture(scope="module")
def served(classifier):
    ids, mask = pad(classifier.tokenize(COMMENTS), 0)
    with torch.inference_mode():
        logits, contribution = ServedNetwork(classifier.network_)(
            torch.from_numpy(ids), torch.from_numpy(mask)
        )
    return mask, logits.numpy(), contribution.numpy()


@pytest.fixture(scope="module")
def together(classifier, tmp_path_factory):
    """A model whose network reads several comments in a row, and what its export found."""
    folder = tmp_path_factory.mktemp("together")
    classifier.save(folder)
    return folder, export_engines(classifier, folder, COMMENTS)


@pytest.fixture(scope="module")
def apart(classifier, tmp_path_factory):
    """The same with a row for each comment, as models of before have, and encoders that keep none apart."""
    folder = tmp_path_factory.mktemp("apart")
    classifier.save(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "packed", lambda *_: None)
        return folder, export_engines(classifier, folder, COMMENTS)


def test_the_scores_are_the_networks(served, classifier):
    _, logits, _ = served
    probabilities = classifier.description_.calibrate((1 / (1 + np.exp(-logits))).astype(np.float32))
    np.testing.assert_allclose(probabilities, classifier.predict_proba(COMMENTS), atol=1e-5)


def test_padding_contributes_nothing_and_a_keyword_most(served, classifier):
    mask, _, contribution = served
    assert (
        contribution[:, :, :, :][np.broadcast_to(mask[:, None, None] == 0, contribution.shape)] == 0
    ).all()
    code = classifier.labels.codes.index("billing.charge")
    assert contribution[0, code, 0].argmax() == 2  # [CLS] my fee was awful


def test_without_the_meeting_layer_tokens_and_biases_are_the_score(classifier):
    network = ServedNetwork(classifier.network_)
    verdict = network.network.reader.verdict.weight
    kept = verdict.detach().clone()
    ids, mask = (torch.from_numpy(part) for part in pad(classifier.tokenize(COMMENTS), 0))
    with torch.no_grad():
        verdict.zero_()
        logits, contribution = network(ids, mask)
        verdict.copy_(kept)
        inner = network.network
        rest = inner.reader.bias + inner.bias + inner.reader.verdict.bias
    np.testing.assert_allclose(contribution.sum(-1) + rest, logits, atol=1e-4)


def test_the_meeting_layer_is_linear_for_given_openings():
    torch.manual_seed(0)
    reader = DefinitionReader(8)
    torch.nn.init.normal_(reader.verdict.weight)
    both, told = torch.randn(5, 4, 16), torch.randn(4, 8)
    with torch.no_grad():
        units = reader.interplay_units(both, told)
        through_tokens = torch.einsum("ncpw,ncw->ncp", units, both)
        # What depends on no token: the same units' openings, times bias and definition.
        met = reader._meet(both, told)
        share = 0.5 * (1 + torch.erf(met / 2**0.5))
        fixed = reader.meeting.bias + (4 * told) @ reader.meeting.weight[:, 24:].t()
        rest = (share * fixed) @ reader.verdict.weight.t() + reader.verdict.bias
        torch.testing.assert_close(through_tokens + rest, reader.interplay(both, told), atol=1e-4, rtol=1e-4)


def test_exported_contributions_are_the_same(served, classifier, together):
    mask, logits, contribution = served
    folder, record = together
    assert record.engines["onnx"].difference < 1e-4
    reading = OnnxEngine(folder, 0, threads=1).read(classifier.tokenize(COMMENTS))
    assert reading.exact
    np.testing.assert_allclose(reading.logits, logits, atol=1e-3)
    for row, part in enumerate(reading.contribution):
        np.testing.assert_allclose(part, contribution[row, :, :, : mask[row].sum()], atol=1e-3)


def test_a_network_that_reads_one_comment_in_a_row_gives_the_same(served, classifier, apart):
    _, logits, _ = served
    folder, record = apart
    assert record.engines["openvino"].difference < 1e-4
    for engine in (OnnxEngine(folder, 0, threads=1), OpenVinoEngine(folder, 0, threads=1)):
        assert isinstance(engine.layout, BatchShapes)
        np.testing.assert_allclose(engine.read(classifier.tokenize(COMMENTS)).logits, logits, atol=1e-3)


def test_where_a_packed_row_reads_otherwise_each_comment_gets_its_own(
    served, classifier, tmp_path, monkeypatch
):
    _, logits, _ = served
    classifier.save(tmp_path)
    wrong = PackedNetwork(classifier.network_, 3)  # places are counted from elsewhere
    monkeypatch.setattr(export, "packed", lambda *_: wrong)
    assert export_engines(classifier, tmp_path, COMMENTS).engines["onnx"].difference < 1e-4
    reading = OnnxEngine(tmp_path, 0, threads=1).read(classifier.tokenize(COMMENTS))
    np.testing.assert_allclose(reading.logits, logits, atol=1e-3)


def test_larger_products_give_what_the_reader_defines(served, classifier):
    mask, _, contribution = served
    network = classifier.network_
    ids, masks = (torch.from_numpy(part) for part in pad(classifier.tokenize(COMMENTS), 0))
    with torch.no_grad():
        states = network.backbone(input_ids=ids, attention_mask=masks).last_hidden_state
        told, query, weight, _ = network.groups()[0]
        attention, both = gather(states, masks, network.reader.queries(told) + query)
        units = network.reader.units(told) + weight + network.reader.interplay_units(both, told)
        on_gathered, on_mean = (torch.einsum("ncpw,ntw->ncpt", u, states) for u in units.chunk(2, dim=-1))
        share = (masks / masks.sum(1, keepdim=True))[:, None, None]
        expected = attention.unsqueeze(2) * on_gathered + share * on_mean
    np.testing.assert_allclose(contribution, expected.numpy(), atol=1e-4)


def test_a_network_that_packs_is_measured_anew(together, apart):
    """Which engine is quickest hangs on how comments stand in rows."""
    keys = {machine_key(folder, 1, ["onnx", "openvino"]) for folder, _ in (together, apart)}
    assert len(keys) == 2

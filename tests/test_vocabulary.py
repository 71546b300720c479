"""The trimmed vocabulary: the same network on fewer rows, and every trained row goes back to its place."""

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, XLMRobertaConfig, XLMRobertaModel

from model.tokens import TokenizedComment, pad
from model.vocabulary import TrimmedVocabulary

SHAPE = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def bert():
    return BertModel(BertConfig(vocab_size=50, max_position_embeddings=32, **SHAPE), add_pooling_layer=False)


def roberta():
    """Counts positions from its padding token, 1."""
    config = XLMRobertaConfig(vocab_size=50, max_position_embeddings=34, pad_token_id=1, **SHAPE)
    return XLMRobertaModel(config, add_pooling_layer=False)


def comments(*rows):
    return [TokenizedComment(np.array(row, np.int64), ((0, 0),) * len(row)) for row in rows]


def states(backbone, rows, pad_id):
    ids, mask = (torch.from_numpy(part) for part in pad(rows, pad_id))
    with torch.no_grad():
        found = backbone(input_ids=ids, attention_mask=mask).last_hidden_state
    return [found[i, : len(row.ids)] for i, row in enumerate(rows)]


@pytest.mark.parametrize(("make", "pad_id"), [(bert, 0), (roberta, 1)])
def test_the_trimmed_network_reads_as_the_whole_one(make, pad_id):
    torch.manual_seed(0)
    backbone = make().eval()
    rows = comments([2, 40, 7, 31, 3], [2, 9, 3])
    whole = states(backbone, rows, pad_id)
    words = TrimmedVocabulary(backbone, rows, always=(pad_id,))
    assert backbone.get_input_embeddings().num_embeddings < 12
    for expected, found in zip(whole, states(backbone, words.comments(rows), words.pad_id), strict=True):
        assert torch.equal(expected, found)


@pytest.mark.parametrize(("make", "pad_id"), [(bert, 0), (roberta, 1)])
def test_trained_rows_go_back_and_the_others_stay(make, pad_id):
    torch.manual_seed(0)
    backbone = make().eval()
    before = backbone.get_input_embeddings().weight.detach().clone()
    rows = comments([2, 40, 7, 3])
    words = TrimmedVocabulary(backbone, rows, always=(pad_id,))
    with torch.no_grad():
        backbone.get_input_embeddings().weight.add_(1.0)
    trained = states(backbone, words.comments(rows), words.pad_id)
    words.restore()
    after = backbone.get_input_embeddings().weight.detach()
    assert after.shape == before.shape
    used = [2, 3, 7, 40]
    assert torch.equal(after[used], before[used] + 1.0)
    unused = sorted(set(range(50)) - set(used) - set(range(pad_id + 1)))
    assert torch.equal(after[unused], before[unused])
    assert all(torch.equal(a, b) for a, b in zip(trained, states(backbone, rows, pad_id), strict=True))

"""Several comments in one row: each reads as it does alone, and encoders that cannot do so are found out."""

import numpy as np
import pytest
import torch
from transformers import ModernBertConfig, ModernBertModel

from model.encoder import load_backbone, load_tokenizer
from model.network import ReasonCodeNetwork
from model.packed_network import PackedNetwork, packed
from model.packed_rows import PackedRows
from model.served_network import ServedNetwork
from model.tokens import tokenize
from tests.conftest import VOCABULARY
from tests.encoder_families import WIDTH, bge, make, modernbert, multilingual_e5

COMMENTS = [
    "my fee was awful",
    "sturdy",
    "the queue was so very bad today. it broke",
    "my <pad> fee [PAD] it </s> broke",
]


def weighted(network):
    for parameter in (network.query, network.weight, network.bias, *network.reader.parameters()):
        torch.nn.init.normal_(parameter, std=0.5)
    return network.eval()


def network_of(family, folder):
    place = make(family, folder, VOCABULARY)
    torch.manual_seed(1)
    network = ReasonCodeNetwork(load_backbone(place, pretrained=True), 32, 3)
    weighted(network)
    tokenizer = load_tokenizer(place, 64)
    pad_id = network.backbone.config.pad_token_id
    return network.eval(), [one.ids for one in tokenize(tokenizer, COMMENTS)], pad_id


@pytest.mark.parametrize(("family", "first"), [(bge, 0), (multilingual_e5, 2)])
def test_a_comment_reads_the_same_whatever_shares_its_row(family, first, tmp_path):
    network, ids, pad_id = network_of(family, tmp_path)
    together = packed(network, ids, pad_id)
    assert together.first_position == first
    layout = PackedRows(pad_id, 384, few=True)
    (batch,) = layout.plan([len(one) for one in ids])
    with torch.inference_mode():
        inputs = {name: torch.from_numpy(one) for name, one in layout.inputs(batch, ids).items()}
        logits, contribution = together(**inputs)
        for place, row in enumerate(batch.rows):
            comment = torch.from_numpy(ids[row])[None]
            expected, parts = ServedNetwork(network)(comment, torch.ones_like(comment))
            np.testing.assert_allclose(logits[place], expected[0], atol=1e-4)
            np.testing.assert_allclose(contribution[place, ..., : len(ids[row])], parts[0], atol=1e-4)
            assert (contribution[place, ..., len(ids[row]) :] == 0).all()


def test_an_encoder_that_counts_places_by_itself_keeps_its_own_rows(tmp_path):
    """ModernBERT looks through windows, which a mask of ours would undo."""
    assert packed(*network_of(modernbert, tmp_path)) is None


def test_windows_are_found_out_though_all_comments_are_shorter(tmp_path):
    """The published ModernBERT has a padding token of high number and windows of 128."""
    config = ModernBertConfig(
        vocab_size=60000,
        max_position_embeddings=8192,
        local_attention=128,
        global_attn_every_n_layers=2,
        pad_token_id=50283,
        **WIDTH,
    )
    torch.manual_seed(0)
    network = weighted(ReasonCodeNetwork(ModernBertModel(config), 32, 3))
    ids = [np.arange(5, 5 + length) for length in (9, 20, 33, 50)]
    assert packed(network, ids, 50283) is None


def test_an_encoder_that_takes_no_places_keeps_its_own_rows(tmp_path):
    network, ids, pad_id = network_of(bge, tmp_path)
    whole = network.backbone

    class WithoutPlaces(torch.nn.Module):
        config = whole.config

        def forward(self, input_ids, attention_mask):
            return whole(input_ids=input_ids, attention_mask=attention_mask)

    network.backbone = WithoutPlaces()
    assert packed(network, ids, pad_id) is None


def test_tokens_of_another_comment_are_not_looked_at(tmp_path):
    network, ids, pad_id = network_of(bge, tmp_path)
    layout = PackedRows(pad_id, 384, few=True)
    (batch,) = layout.plan([len(one) for one in ids])
    inputs = {name: torch.from_numpy(one) for name, one in layout.inputs(batch, ids).items()}
    with torch.inference_mode():
        before, _ = PackedNetwork(network, 0)(**inputs)
        others = inputs["segments"] != 1
        inputs["input_ids"][others] = 5
        after, _ = PackedNetwork(network, 0)(**inputs)
    assert torch.equal(before[0], after[0])
    assert not torch.allclose(before[1], after[1], atol=1e-3)

"""Definitions as directions: of length 1, one for each code, the mean over a code's texts."""

import pytest
import torch

from data.taxonomy import ReasonCode, parse_taxonomy
from model.definitions import code_texts, mean_directions, sample_centre
from model.encoder import load_backbone, load_tokenizer


@pytest.fixture(scope="module")
def encoder(tiny_encoder):
    return load_backbone(tiny_encoder, pretrained=True), load_tokenizer(tiny_encoder, 64)


def test_the_texts_of_a_code():
    code = ReasonCode(
        id="billing.late-fee",
        definition="A fee.",
        includes=["reminders"],
        excludes=["prices"],
        examples=["You charged me."],
    )
    assert code_texts(code) == ["Late fee. A fee.", "reminders", "You charged me."]
    assert code_texts(ReasonCode(id="x.y", label="Label")) == ["Label."]
    taxonomy = parse_taxonomy("codes: [{id: a.b}]")
    assert code_texts(taxonomy["a.b"]) == ["B."]


def test_a_direction_is_the_mean_of_its_texts_means(encoder):
    backbone, tokenizer = encoder
    codes = [["my fee"], ["the queue was so bad today", "again"], ["my fee", "my fee"]]
    found = mean_directions(backbone, tokenizer, codes)
    assert found.shape == (3, 32)
    torch.testing.assert_close(found.norm(dim=-1), torch.ones(3))
    torch.testing.assert_close(found[2], found[0])
    alone = mean_directions(backbone, tokenizer, [[text] for text in codes[1]])
    expected = torch.nn.functional.normalize(alone.mean(0), dim=-1)
    torch.testing.assert_close(found[1], expected)
    ids = torch.tensor([tokenizer.encode("my fee").ids])
    with torch.no_grad():
        states = backbone(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
    torch.testing.assert_close(found[0], torch.nn.functional.normalize(states.mean(0), dim=-1))


def test_the_order_of_codes_does_not_matter(encoder):
    codes = [["fee " * n] for n in range(1, 9)]
    found = mean_directions(*encoder, codes)
    turned = mean_directions(*encoder, codes[::-1])
    torch.testing.assert_close(found, turned.flip(0), atol=1e-6, rtol=1e-5)


def test_a_prefix_is_read_before_each_text(encoder):
    found = mean_directions(*encoder, [["fee"]], "my ")
    torch.testing.assert_close(found, mean_directions(*encoder, [["my fee"]]))


def test_the_samples_centre_is_what_its_definitions_share(encoder):
    centre = sample_centre(*encoder)
    assert centre.shape == (32,)
    assert 0 < float(centre.norm()) < 1

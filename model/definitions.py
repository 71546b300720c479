"""Definitions of reason codes as directions in an encoder's space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from data.sample import sample_path
from data.taxonomy import ReasonCode, read_taxonomy
from model.tokens import length_batches, pad, tokenize


def code_texts(code: ReasonCode) -> list[str]:
    """Give the texts that say what a code is: name and definition, what it includes, examples."""
    return [f"{code.name}. {code.definition}".strip(), *code.includes, *code.examples]


def mean_directions(
    backbone: nn.Module, tokenizer: Any, codes: Sequence[Sequence[str]], prefix: str = ""
) -> torch.Tensor:
    """Give each code's direction: the mean over its texts, each the mean of its token states.

    Parameters
    ----------
    backbone
        The encoder.
    tokenizer
        Its `tokenizers.Tokenizer`.
    codes
        For each code, its texts.
    prefix
        What the encoder reads before each text.

    Returns
    -------
    tensor of shape (n_codes, width)
        Vectors of length 1.
    """
    texts = [text for own in codes for text in own]
    tokens = tokenize(tokenizer, texts, prefix)
    vectors: list[torch.Tensor] = [torch.empty(0)] * len(texts)
    backbone.eval()
    for batch in length_batches(np.array([len(one.ids) for one in tokens]), tokens=4096):
        ids, mask = (torch.from_numpy(part) for part in pad([tokens[i] for i in batch], 0))
        with torch.no_grad():
            states = backbone(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        real = mask.unsqueeze(-1).float()
        means = nn.functional.normalize((states * real).sum(1) / real.sum(1), dim=-1)
        for i, vector in zip(batch, means, strict=True):
            vectors[i] = vector
    every, found = iter(vectors), []
    for own in codes:
        found.append(torch.stack([next(every) for _ in own]).mean(0))
    return nn.functional.normalize(torch.stack(found), dim=-1)


def sample_centre(backbone: nn.Module, tokenizer: Any, prefix: str = "") -> torch.Tensor:
    """Give the mean direction of the sample's definitions, what all have in common: shape (width,)."""
    taxonomy = read_taxonomy(sample_path("taxonomy.yaml"))
    codes = [code_texts(taxonomy[code]) for code in taxonomy.active]
    return mean_directions(backbone, tokenizer, codes, prefix).mean(0)

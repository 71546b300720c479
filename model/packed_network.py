"""The network as it reads several comments in one row, each as if it stood alone."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from model.encoder import position_start, token_limit
from model.network import ReasonCodeNetwork
from model.packed_rows import PackedRows
from model.served_network import ServedNetwork

_LONG = 300
"""Tokens of the comment that must read the same: longer than the windows in which some encoders look."""
_TOLERANCE = 1e-3
"""Of a logit; rounding alone gives less than a hundredth of it."""
_FAULTS = (TypeError, ValueError, RuntimeError, IndexError, AttributeError, NotImplementedError)

log = logging.getLogger("whyscore.engine")


class PackedNetwork(ServedNetwork):
    """Reads rows of several comments; tokens look at those of their own comment only.

    Parameters
    ----------
    network
        Fitted, in evaluation mode.
    first_position
        What the encoder calls the first place of a comment: BERT 0, RoBERTa and its kin one more than the
        padding token.
    """

    def __init__(self, network: ReasonCodeNetwork, first_position: int) -> None:
        super().__init__(network)
        self.first_position = first_position

    def forward(  # type: ignore[override]
        self,
        input_ids: torch.Tensor,
        position_ids: torch.Tensor,
        segments: torch.Tensor,
        places: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Score comments; takes what `PackedRows.inputs` gives.

        Returns
        -------
        logits : tensor of shape (spoken, n_codes, n_polarities)
        contribution : tensor of shape (spoken, n_codes, n_polarities, longest)
            In logits; 0 where a comment has no token.
        """
        together = segments[:, None, :, None] == segments[:, None, None, :]
        states = self.network.backbone(
            input_ids=input_ids,
            attention_mask=torch.where(together, 0.0, -1e4),
            position_ids=position_ids + self.first_position,
        ).last_hidden_state
        found = places.clamp(min=0)
        mask = (places >= 0).to(input_ids.dtype)
        return self.read(states, mask, lambda rows: rows.flatten(0, 1)[found])


def packed(network: ReasonCodeNetwork, ids: Sequence[NDArray[np.int64]], pad_id: int) -> PackedNetwork | None:
    """Give the network that reads packed rows; None where its encoder cannot keep comments apart.

    Found out by trying: comments in one row must score as they do alone. Encoders that count places from
    one token to the other by themselves, or look through windows, may not.

    Parameters
    ----------
    network
        Fitted.
    ids
        The token ids of some comments; a long one, and short ones that share its row, are made from them.
    pad_id
        The tokenizer's padding token.
    """
    start = position_start(network.backbone)
    candidate = PackedNetwork(network, 0 if start is None else start + 1)
    candidate.eval()
    sizes = (token_limit(network.backbone, _LONG), 30, 20)
    tried = [*list(ids)[:8], *(np.resize(np.concatenate(list(ids)), min(size, sizes[0])) for size in sizes)]
    try:
        alike = _reads_alike(candidate, tried, PackedRows(pad_id, 512, few=True))
    except _FAULTS as fault:  # an encoder that does not take places or such a mask says so in its own way
        log.info("the encoder takes no packed rows (%s)", type(fault).__name__)
        return None
    return candidate if alike else None


def _reads_alike(candidate: PackedNetwork, ids: Sequence[NDArray[np.int64]], layout: PackedRows) -> bool:
    alone = ServedNetwork(candidate.network).eval()
    with torch.inference_mode():
        for batch in layout.plan([len(one) for one in ids]):
            inputs = {name: torch.from_numpy(one) for name, one in layout.inputs(batch, ids).items()}
            logits, contribution = candidate(**inputs)
            for place, row in enumerate(batch.rows):
                comment = torch.from_numpy(ids[row])[None]
                expected, parts = alone(comment, torch.ones_like(comment))
                found = contribution[place, ..., : comment.shape[1]]
                if not (_alike(logits[place], expected[0]) and _alike(found, parts[0])):
                    return False
    return True


def _alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    return bool(((one - other).abs() < _TOLERANCE).all())

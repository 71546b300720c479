"""Comments of the same codes drawn together, and those of others apart: what few examples teach best."""

from __future__ import annotations

import torch
from torch import nn

TEMPERATURE = 0.1


def contrast(
    states: torch.Tensor, attention_mask: torch.Tensor, present: torch.Tensor, known: torch.Tensor
) -> torch.Tensor:
    """Give the supervised contrastive loss of the comments' mean states within a batch.

    Parameters
    ----------
    states
        Of the tokens, shape (n, tokens, width).
    attention_mask
        Shape (n, tokens).
    present
        Shape (n, n_codes, n_polarities); a pair counts from 0.5 on.
    known
        Shape (n, n_codes); 0 leaves a code out.

    Returns
    -------
    tensor of shape ()
        Mean over the comments that share a pair with another one of the batch; 0 where none does.

    Notes
    -----
    Khosla et al. 2020, "Supervised contrastive learning", equation 2, where two comments are alike by the
    share of their pairs that they have in common (Jaccard), since a comment may have several.
    """
    real = attention_mask.unsqueeze(-1).to(states.dtype)
    mean = nn.functional.normalize(((states * real).sum(1) / real.sum(1)).float(), dim=-1)
    pairs = ((present > 0.5) & (known.unsqueeze(-1) > 0)).flatten(1).float()
    both, each = pairs @ pairs.t(), pairs.sum(1)
    alike = both / (each[:, None] + each[None] - both).clamp(min=1.0)
    alike = alike.fill_diagonal_(0.0)
    itself = torch.eye(len(mean), dtype=torch.bool, device=mean.device)
    near = (mean @ mean.t() / TEMPERATURE).masked_fill(itself, -1e4).log_softmax(-1)
    weight = alike.sum(1)
    apart = -(alike * near).sum(1) / weight.clamp(min=1e-6)
    has = (weight > 0).float()
    return (apart * has).sum() / has.sum().clamp(min=1.0)

"""The network: an encoder under label-wise attention, one query for each reason code."""

from __future__ import annotations

import torch
from torch import nn

from data.annotations import POLARITIES

# Lengths at which a definition's direction enters; token states of MiniLM are about 9 long.
QUERY_START = 2.0
UNIT_START = 0.5


class ReasonCodeNetwork(nn.Module):  # type: ignore[misc]  # torch is not type-checked here: see pyproject
    """Scores every (code, polarity) pair of a comment and says which tokens each code looked at.

    Each code's query attends over the token states (label-wise attention: Mullenbach et al. 2018,
    "Explainable prediction of medical codes from clinical text"); what it gathers stands beside the
    mean of all tokens, and three linear units read the polarity from both.

    Parameters
    ----------
    backbone
        Gives ``last_hidden_state`` of shape (n, tokens, width).
    width
        Of a token state.
    n_codes
        Number of reason codes.
    dropout
        On the input of the polarity units.
    """

    def __init__(self, backbone: nn.Module, width: int, n_codes: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.backbone = backbone
        self.query = nn.Parameter(torch.randn(n_codes, width) * 0.02)
        self.weight = nn.Parameter(torch.randn(n_codes, len(POLARITIES), 2 * width) * 0.02)
        # Most codes are absent from most comments: start there.
        self.bias = nn.Parameter(torch.full((n_codes, len(POLARITIES)), -2.0))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Score comments.

        Parameters
        ----------
        input_ids, attention_mask
            Shape (n, tokens); the mask is 0 on padding.

        Returns
        -------
        logits : tensor of shape (n, n_codes, n_polarities)
        attention : tensor of shape (n, n_codes, tokens)
            Sums to 1 over the tokens of each comment and code.
        """
        states = self.backbone(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        real = attention_mask.unsqueeze(-1).to(states.dtype)
        mean = (states * real).sum(1) / real.sum(1)
        scores = torch.matmul(self.query.to(states.dtype), states.transpose(1, 2)).float()
        attention = scores.masked_fill(attention_mask.unsqueeze(1) == 0, -1e4).softmax(-1)
        gathered = torch.matmul(attention.to(states.dtype), states)
        both = torch.cat([gathered, mean.unsqueeze(1).expand_as(gathered)], dim=-1)
        logits = torch.einsum("ncw,cpw->ncp", self.dropout(both), self.weight.to(states.dtype))
        return logits.float() + self.bias, attention


def start_from_definitions(network: ReasonCodeNetwork, definitions: torch.Tensor) -> None:
    """Point each code's query and units at what its definition says, so that few examples go far.

    Parameters
    ----------
    network
        Changed in place, before it is fitted.
    definitions
        A vector of length 1 for each code, shape (n_codes, width), in the space of the token states.
    """
    apart = definitions - definitions.mean(dim=0, keepdim=True)  # what sets a code apart from the others
    apart = nn.functional.normalize(apart, dim=-1)
    with torch.no_grad():
        network.query.copy_(QUERY_START * apart)
        network.weight += UNIT_START * torch.cat([apart, apart], dim=-1).unsqueeze(1)


def masked_loss(logits: torch.Tensor, present: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Give the binary cross-entropy of the pairs whose code the annotator knew.

    Parameters
    ----------
    logits, present
        Shape (n, n_codes, n_polarities).
    known
        Shape (n, n_codes); 0 leaves a code out.

    Returns
    -------
    tensor of shape ()
        Summed over pairs, averaged over comments: rare codes keep their full gradient.
    """
    each = nn.functional.binary_cross_entropy_with_logits(logits, present, reduction="none")
    return (each * known.unsqueeze(-1)).sum() / (10.0 * len(logits))

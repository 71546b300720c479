"""The network: an encoder under label-wise attention, one query for each reason code."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

import torch
from torch import nn

from data.annotations import POLARITIES
from model.definition_reader import DefinitionReader


class ReasonCodeNetwork(nn.Module):  # type: ignore[misc]  # torch is not type-checked here: see pyproject
    """Scores every (code, polarity) pair of a comment and says which tokens each code looked at.

    Each code's query attends over the token states (label-wise attention: Mullenbach et al. 2018,
    "Explainable prediction of medical codes from clinical text"); what it gathers stands beside the
    mean of all tokens, and units read the polarity from both. Query and units are what the shared
    reader makes of the code's definition, plus what the code's own annotations teach.

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

    Attributes
    ----------
    width
        As it was given.
    blocks
        Sizes of the groups of codes that are scored together. Codes that are added later make a group
        of their own: products of another shape may differ in their last bits, and nothing may change
        for the codes that were there before.
    """

    def __init__(self, backbone: nn.Module, width: int, n_codes: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.backbone, self.width = backbone, width
        self.reader = DefinitionReader(width)
        self.register_buffer("definition", torch.zeros(n_codes, width))
        self.register_buffer("centre", torch.zeros(width))  # what all definitions share: for codes to come
        self.query = nn.Parameter(torch.zeros(n_codes, width))
        self.weight = nn.Parameter(torch.zeros(n_codes, len(POLARITIES), 2 * width))
        self.bias = nn.Parameter(torch.zeros(n_codes, len(POLARITIES)))
        self.dropout = nn.Dropout(dropout)
        self.blocks: tuple[int, ...] = (n_codes,)

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
        return self.score(states, attention_mask)

    def score(
        self, states: torch.Tensor, attention_mask: torch.Tensor, definition: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Score comments from their token states.

        Parameters
        ----------
        states
            Shape (n, tokens, width).
        attention_mask
            Shape (n, tokens).
        definition
            Codes of another taxonomy, shape (other_codes, width), scored by the shared reader alone.

        Returns
        -------
        logits, attention : as `forward` gives them
        """
        if definition is not None:
            return self._score(states, attention_mask, definition)
        logits, attention = zip(*self._score_groups(states, attention_mask), strict=True)
        return joined(logits), joined(attention)

    def probabilities(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Give probabilities instead of logits; else as `forward`.

        Each group by itself: torch's sigmoid of a tensor's last few elements may differ in the last bit
        from that of the others.
        """
        states = self.backbone(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        logits, attention = zip(*self._score_groups(states, attention_mask), strict=True)
        return joined([torch.sigmoid(part) for part in logits]), joined(attention)

    def groups(self) -> list[tuple[torch.Tensor, ...]]:
        """Give definitions, queries, weights and biases of the codes, by `blocks`."""
        own = (self.definition, self.query, self.weight, self.bias)
        if len(self.blocks) == 1:
            return [own]
        return [tuple(rows[a:b] for rows in own) for a, b in pairwise(accumulate(self.blocks, initial=0))]

    def _score_groups(
        self, states: torch.Tensor, attention_mask: torch.Tensor
    ) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return [self._score(states, attention_mask, *group) for group in self.groups()]

    def _score(
        self,
        states: torch.Tensor,
        attention_mask: torch.Tensor,
        told: torch.Tensor,
        own_query: torch.Tensor | None = None,
        own_weight: torch.Tensor | None = None,
        own_bias: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        query, weight = self.reader.queries(told), self.reader.units(told)
        if own_query is not None and own_weight is not None:
            query, weight = query + own_query, weight + own_weight
        attention, both = gather(states, attention_mask, query)
        both = self.dropout(both)
        logits = torch.einsum("ncw,cpw->ncp", both, weight.to(states.dtype)).float()
        logits = logits + self.reader.interplay(both, told).float() + self.reader.bias
        return (logits if own_bias is None else logits + own_bias), attention


def joined(groups: Sequence[torch.Tensor]) -> torch.Tensor:
    """Give what was found for each group of codes as one tensor; codes are its second axis."""
    return groups[0] if len(groups) == 1 else torch.cat(list(groups), dim=1)


def gather(
    states: torch.Tensor, attention_mask: torch.Tensor, query: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Let each query look at the tokens.

    Returns
    -------
    attention : tensor of shape (n, n_codes, tokens)
    both : tensor of shape (n, n_codes, 2 * width)
        What each query gathered, beside the mean of all tokens.
    """
    real = attention_mask.unsqueeze(-1).to(states.dtype)
    mean = (states * real).sum(1) / real.sum(1)
    attention = attend(states, attention_mask, query)
    gathered = torch.matmul(attention.to(states.dtype), states)
    return attention, torch.cat([gathered, mean.unsqueeze(1).expand_as(gathered)], dim=-1)


def attend(states: torch.Tensor, attention_mask: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
    """Give how each query spreads its attention over the tokens, shape (n, n_codes, tokens)."""
    scores = torch.matmul(query.to(states.dtype), states.transpose(1, 2)).float()
    return scores.masked_fill(attention_mask.unsqueeze(1) == 0, -1e4).softmax(-1)


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


def disagreement(first: torch.Tensor, second: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Give how far two readings of the same comments differ, as `masked_loss` sums and averages.

    Parameters
    ----------
    first, second
        Logits, shape (n, n_codes, n_polarities), of which other elements were dropped.
    known
        Shape (n, n_codes); 0 leaves a code out.

    Returns
    -------
    tensor of shape ()
        Half the symmetric Kullback-Leibler divergence of each pair's two Bernoullis, which is the difference
        of their means times that of their logits (Liang et al. 2021, "R-Drop: regularized dropout for
        neural networks").
    """
    each = 0.5 * (torch.sigmoid(first) - torch.sigmoid(second)) * (first - second)
    return (each * known.unsqueeze(-1)).sum() / (10.0 * len(first))

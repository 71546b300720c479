"""The network as serving runs it: the scores, and what each token contributes to each of them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from model.definition_reader import told_as_met
from model.network import ReasonCodeNetwork, attend, joined

Rearrange = Callable[[torch.Tensor], torch.Tensor]


class ServedNetwork(nn.Module):  # type: ignore[misc]  # torch is not type-checked here: see pyproject
    """Splits every score of a fitted network among the tokens; without gradients, and without a rest unsaid.

    A pair's logit is linear in what its code gathered and in the mean of the tokens, but for the layer where
    comment and definition meet, which is linear for given openings of its units
    (`DefinitionReader.interplay_units`). Both are weighted sums of token states; so the logit is a sum over
    tokens, plus what no token decides: the biases and the definition.

    Parameters
    ----------
    network
        Fitted, in evaluation mode.
    """

    def __init__(self, network: ReasonCodeNetwork) -> None:
        super().__init__()
        self.network = network

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
        contribution : tensor of shape (n, n_codes, n_polarities, tokens)
            In logits; 0 on padding.
        """
        backbone = self.network.backbone
        states = backbone(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return self.read(states, attention_mask, lambda rows: rows)

    def read(
        self, rows: torch.Tensor, attention_mask: torch.Tensor, of_comments: Rearrange
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Score comments from their token states.

        Parameters
        ----------
        rows
            Token states as the encoder read them, shape (rows, row_tokens, width).
        attention_mask
            As `forward` takes it.
        of_comments
            Makes of something about each token of `rows` the same about each token of the comments, shape
            (n, tokens, anything).

        Returns
        -------
        logits, contribution : as `forward` gives them
        """
        states = of_comments(rows)
        parts = [
            self._read(states, attention_mask, rows, of_comments, *group) for group in self.network.groups()
        ]
        logits, contribution = zip(*parts, strict=True)
        return joined(logits), joined(contribution)

    def _read(
        self,
        states: torch.Tensor,
        attention_mask: torch.Tensor,
        rows: torch.Tensor,
        of_comments: Rearrange,
        told: torch.Tensor,
        own_query: torch.Tensor,
        own_weight: torch.Tensor,
        own_bias: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Score a group of codes: `ReasonCodeNetwork.score` and its split, in fewer and larger products.

        What multiplies a definition or the mean alone is not done again for every code and comment, and what
        projects token states does so once for all codes.
        """
        reader = self.network.reader
        attention = attend(states, attention_mask, reader.queries(told) + own_query)
        share = (attention_mask / attention_mask.sum(1, keepdim=True)).to(states.dtype).unsqueeze(1)
        # The mean by the same product as what the codes gather: it needs no copy of all states.
        gathered, mean = torch.matmul(torch.cat([attention, share], dim=1), states).split([len(told), 1], 1)
        mean = mean[:, 0]
        on_gathered, on_mean = (reader.units(told) + own_weight).chunk(2, dim=-1)
        by_gathered, by_mean, by_product, by_told = reader.meeting.weight.chunk(4, dim=1)
        long = told_as_met(told)
        fixed = long @ by_told.t() + reader.meeting.bias
        met = gathered @ by_gathered.t() + (gathered * long) @ by_product.t()
        met = met + (mean @ by_mean.t()).unsqueeze(1) + fixed
        logits = torch.einsum("ncw,cpw->ncp", gathered, on_gathered)
        logits = logits + (mean @ on_mean.flatten(0, 1).t()).unflatten(1, on_mean.shape[:2])
        logits = logits + reader.verdict(nn.functional.gelu(met)) + reader.bias + own_bias

        # GELU(a) is a times the share of a normal below a: see `DefinitionReader.interplay_units`.
        passed = (0.5 * (1.0 + torch.erf(met / 2.0**0.5))).unsqueeze(2) * reader.verdict.weight
        # Flat, so that no optimizer takes the definitions into the weights: that would be a product a code.
        varying = (passed.flatten(1, 2) @ by_product).unflatten(1, on_gathered.shape[:2])
        varying = on_gathered + varying * long.unsqueeze(1)
        # Where rows are packed there are fewer of these tokens than places in the comments' arrays.
        kinds = (by_gathered, by_mean, on_mean.flatten(0, 1))
        by_token = of_comments(rows @ torch.cat(kinds).t()).transpose(1, 2)
        gathered_by_token, mean_by_token, of_mean = by_token.split([len(kind) for kind in kinds], dim=1)
        of_gathered = _project(varying, states.transpose(1, 2)) + _project(passed, gathered_by_token)
        of_mean = of_mean.unflatten(1, on_mean.shape[:2]) + _project(passed, mean_by_token)
        return logits, attention.unsqueeze(2) * of_gathered + share.unsqueeze(2) * of_mean


def _project(units: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Give each unit's product with each token, shape (n, n_codes, n_polarities, tokens)."""
    return torch.matmul(units.flatten(1, 2), tokens).unflatten(1, units.shape[1:3])

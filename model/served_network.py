"""The network as serving runs it: the scores, and what each token contributes to each of them."""

from __future__ import annotations

import torch
from torch import nn

from model.network import ReasonCodeNetwork, gather, joined


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
        network = self.network
        states = network.backbone(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        logits, _ = network.score(states, attention_mask)
        parts = [self._contribution(states, attention_mask, *group[:3]) for group in network.groups()]
        return logits, joined(parts)

    def _contribution(
        self,
        states: torch.Tensor,
        attention_mask: torch.Tensor,
        told: torch.Tensor,
        own_query: torch.Tensor,
        own_weight: torch.Tensor,
    ) -> torch.Tensor:
        reader = self.network.reader
        attention, both = gather(states, attention_mask, reader.queries(told) + own_query)
        units = reader.units(told) + own_weight
        on_gathered, on_mean = (units + reader.interplay_units(both, told)).chunk(2, dim=-1)
        share = attention_mask.to(states.dtype) / attention_mask.sum(1, keepdim=True).to(states.dtype)
        contribution = attention.unsqueeze(2) * _project(on_gathered, states)
        return contribution + share[:, None, None] * _project(on_mean, states)


def _project(units: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    """Give each unit's product with each token, shape (n, n_codes, n_polarities, tokens)."""
    flat = torch.matmul(units.flatten(1, 2), states.transpose(1, 2))
    return flat.unflatten(1, units.shape[1:3])

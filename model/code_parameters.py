"""What belongs to each reason code alone: its definition's direction, and what its annotations taught."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn

from data.annotations import POLARITIES
from model.network import ReasonCodeNetwork


@dataclass(frozen=True, eq=False)
class CodeParameters:
    """The rows of a network that are some codes' own; see `model.network.ReasonCodeNetwork`.

    Attributes
    ----------
    definition, query
        Shape (n_codes, width).
    weight
        Shape (n_codes, n_polarities, 2 * width).
    bias
        Shape (n_codes, n_polarities).
    """

    definition: torch.Tensor
    query: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor

    @classmethod
    def of(cls, network: ReasonCodeNetwork) -> CodeParameters:
        """Give a copy of a network's rows."""
        parts = (network.definition, network.query, network.weight, network.bias)
        return cls(*(part.detach().clone() for part in parts))

    @classmethod
    def from_definitions(cls, definition: torch.Tensor) -> CodeParameters:
        """Give codes that nobody annotated yet: the shared reader alone speaks for them."""
        n_codes, width = definition.shape
        weight = torch.zeros(n_codes, len(POLARITIES), 2 * width)
        return cls(definition, torch.zeros(n_codes, width), weight, torch.zeros(n_codes, len(POLARITIES)))

    def __len__(self) -> int:
        """How many codes."""
        return len(self.bias)

    def rows(self, rows: list[int]) -> CodeParameters:
        """Give some of the codes, in that order."""
        return CodeParameters(self.definition[rows], self.query[rows], self.weight[rows], self.bias[rows])

    def followed_by(self, other: CodeParameters) -> CodeParameters:
        """Give these codes, then the others."""
        return CodeParameters(
            torch.cat([self.definition, other.definition]),
            torch.cat([self.query, other.query]),
            torch.cat([self.weight, other.weight]),
            torch.cat([self.bias, other.bias]),
        )

    def network(self, base: ReasonCodeNetwork, blocks: tuple[int, ...] = ()) -> ReasonCodeNetwork:
        """Give a network of these codes over another one's encoder and reader, which both share."""
        network = self.head(base)
        network.blocks = blocks or network.blocks
        network.backbone, network.reader = base.backbone, base.reader
        network.eval()
        return network

    def head(self, base: ReasonCodeNetwork) -> ReasonCodeNetwork:
        """Give a network of these codes without an encoder, with a copy of another one's reader.

        It reads token states, by `ReasonCodeNetwork.score`.
        """
        head = ReasonCodeNetwork(nn.Identity(), self.definition.shape[1], len(self), base.dropout.p)
        head.reader = copy.deepcopy(base.reader)
        head.centre.copy_(base.centre)
        head.definition.copy_(self.definition)
        with torch.no_grad():
            for name in ("query", "weight", "bias"):
                getattr(head, name).copy_(getattr(self, name))
        head.eval()
        return head

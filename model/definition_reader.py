"""What all codes share: how a definition becomes a query over a comment and a score for each polarity."""

from __future__ import annotations

import torch
from torch import nn

from data.annotations import POLARITIES

# Lengths at which a definition's direction enters; token states of MiniLM are about 9 long.
QUERY_START = 2.0
UNIT_START = 0.5
INTERPLAY = 128
"""Units of the layer that weighs a comment against a definition."""


class DefinitionReader(nn.Module):  # type: ignore[misc]  # torch is not type-checked here: see pyproject
    """Turns definitions into queries and scoring units, the same way for every code of every taxonomy.

    A code that nobody annotated yet is tagged by this part alone, so what it learnt from the codes of
    other taxonomies carries over (as in Zhang et al. 2022, "Long-tailed extreme multi-label text
    classification by the retrieval of generated pseudo label descriptions", and label-embedding
    models before it).

    Parameters
    ----------
    width
        Of a token state and of a definition's direction.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        eye = torch.eye(width)
        self.query = nn.Parameter(QUERY_START * eye)
        self.unit = nn.Parameter(UNIT_START * torch.cat([eye, eye]))
        self.polarity = nn.Parameter(torch.randn(len(POLARITIES), 2 * width) * 0.02)
        # Most codes are absent from most comments: start there.
        self.bias = nn.Parameter(torch.full((len(POLARITIES),), -2.0))
        self.meeting = nn.Linear(4 * width, INTERPLAY)
        self.verdict = nn.Linear(INTERPLAY, len(POLARITIES))
        nn.init.zeros_(self.verdict.weight)
        nn.init.zeros_(self.verdict.bias)

    def queries(self, definition: torch.Tensor) -> torch.Tensor:
        """Give each code's query, shape (n_codes, width)."""
        return definition @ self.query.t()

    def units(self, definition: torch.Tensor) -> torch.Tensor:
        """Give each pair's weights over (gathered, mean), shape (n_codes, n_polarities, 2 * width)."""
        return (definition @ self.unit.t()).unsqueeze(1) + self.polarity

    def interplay(self, both: torch.Tensor, definition: torch.Tensor) -> torch.Tensor:
        """Score what a linear unit cannot: whether what was gathered is what the definition says.

        Parameters
        ----------
        both
            What each code gathered beside the mean of all tokens, shape (n, n_codes, 2 * width).
        definition
            Shape (n_codes, width).

        Returns
        -------
        tensor of shape (n, n_codes, n_polarities)
        """
        return self.verdict(nn.functional.gelu(self._meet(both, definition)))

    def interplay_units(self, both: torch.Tensor, definition: torch.Tensor) -> torch.Tensor:
        """Give `interplay` as weights over (gathered, mean), exact for these comments.

        GELU(a) is a times the share of a normal below a. With these shares held, the layer is linear in what
        was gathered, and its score is these weights times (gathered, mean) plus what depends on no token.

        Returns
        -------
        tensor of shape (n, n_codes, n_polarities, 2 * width)
        """
        open_ = 0.5 * (1.0 + torch.erf(self._meet(both, definition) / 2.0**0.5))
        passed = open_.unsqueeze(2) * self.verdict.weight
        on_gathered, on_mean, on_product, _ = self.meeting.weight.chunk(4, dim=1)
        by_code = on_gathered + on_product * told_as_met(definition).unsqueeze(1)
        return torch.cat([torch.matmul(passed, by_code), torch.matmul(passed, on_mean)], dim=-1)

    def _meet(self, both: torch.Tensor, definition: torch.Tensor) -> torch.Tensor:
        told = told_as_met(definition.to(both.dtype))
        gathered, _ = both.chunk(2, dim=-1)
        met: torch.Tensor = self.meeting(torch.cat([both, gathered * told, told.expand_as(gathered)], dim=-1))
        return met


def told_as_met(definition: torch.Tensor) -> torch.Tensor:
    """Give a definition about as long as the states it meets."""
    return 4.0 * definition

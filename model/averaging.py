"""An exponential moving average of a network's weights, which generalises better than the last step's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


class WeightAverage:
    """Follows the weights of a network (Polyak and Juditsky 1992; as in Tarvainen and Valpola 2017).

    Parameters
    ----------
    network
        Whose parameters are averaged; not changed but by `applied`.
    decay
        Share of the average that a step keeps. Early on it is (1 + t) / (10 + t), so that the random start
        is soon forgotten.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.parameters = list(network.parameters())
        self.average = [parameter.detach().clone() for parameter in self.parameters]
        self.decay = decay
        self.steps = 0

    def update(self) -> None:
        """Take in the weights as they are now."""
        self.steps += 1
        keep = min(self.decay, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            torch._foreach_lerp_(self.average, [p.detach() for p in self.parameters], 1 - keep)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the network the averaged weights for a while."""
        own = [parameter.detach().clone() for parameter in self.parameters]
        self._set(self.average)
        try:
            yield
        finally:
            self._set(own)

    def keep(self) -> None:
        """Give the network the averaged weights for good."""
        self._set(self.average)

    def _set(self, values: list[torch.Tensor]) -> None:
        with torch.no_grad():
            for parameter, value in zip(self.parameters, values, strict=True):
                parameter.copy_(value)

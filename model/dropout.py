"""Dropout that draws its mask from random bytes: torch draws number by number, a seventh of a step."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

_STEPS = 256


class ByteDropout(nn.Dropout):  # type: ignore[misc]  # torch is not type-checked here: see pyproject
    """Dropout with a probability rounded to 1/256 (Srivastava et al. 2014), for the processor.

    Parameters
    ----------
    p
        The share of elements set to 0 while training; the others are scaled up to keep the mean.
    generator
        Where the bytes come from; shared by the layers of a network, so that one seed decides all.
    """

    def __init__(self, p: float, generator: np.random.Generator) -> None:
        super().__init__(p)
        self.generator = generator
        self.cut = round(p * _STEPS)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Drop elements of a tensor of any shape; the same tensor when not training."""
        if not self.training or not self.cut:
            return input
        if input.device.type != "cpu":
            return nn.functional.dropout(input, self.p, training=True)
        drawn = torch.frombuffer(bytearray(self.generator.bytes(input.numel())), dtype=torch.uint8)
        keep = (drawn.view(input.shape) >= self.cut).to(input.dtype)
        return input * keep.mul_(_STEPS / (_STEPS - self.cut))


def draw_from_bytes(network: nn.Module, generator: np.random.Generator) -> None:
    """Replace every dropout layer of a network, in place, by one that draws from random bytes."""
    for name, child in network.named_children():
        if type(child) is nn.Dropout:
            setattr(network, name, ByteDropout(child.p, generator))
        else:
            draw_from_bytes(child, generator)

"""Where a fit runs: the GPU where there is one, and several processes where a launcher starts them.

``accelerate launch`` and ``torchrun`` start the same command several times, once for each GPU, and tell
each by its environment which one it is. Each process then learns from batches of its own, and gradients
are averaged (data parallelism), so that all hold the same weights after every step.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import torch

from data.errors import MissingExtraError

T = TypeVar("T")
_BUCKET = 8 * 1024 * 1024
"""Numbers that travel together; a message for each parameter would cost more than the numbers."""


@dataclass(frozen=True)
class Processes:
    """The processes of a fit, seen from one of them.

    Attributes
    ----------
    index, count
        Which one this is, of how many.
    device
        Where it computes.
    """

    index: int
    count: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this one evaluates, writes and speaks; the others only lend their hands."""
        return self.index == 0

    def share(self, batches: list[T]) -> list[T]:
        """Give this process's batches of an epoch; all get equally many, the first ones again at its end."""
        if self.count == 1:
            return batches
        rounds = -(-len(batches) // self.count)
        return [batches[(i * self.count + self.index) % len(batches)] for i in range(rounds)]

    def average(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace every gradient by its mean over the processes, in place."""
        if self.count == 1:
            return
        gradients = [p.grad if p.grad is not None else _zero_gradient(p) for p in parameters]
        for bucket in _buckets(gradients):
            flat = torch.cat([gradient.reshape(-1) for gradient in bucket])
            torch.distributed.all_reduce(flat)
            parts = (flat / self.count).split([gradient.numel() for gradient in bucket])
            for gradient, part in zip(bucket, parts, strict=True):
                gradient.copy_(part.view_as(gradient))

    def agreed(self, *values: float) -> tuple[float, ...]:
        """Give the main process's values to all."""
        if self.count == 1:
            return values
        told = torch.tensor(values, dtype=torch.float64, device=self.device)
        torch.distributed.broadcast(told, src=0)
        return tuple(float(value) for value in told.cpu())

    def alike(self, value: float) -> bool:
        """Tell whether all processes hold the same value."""
        if self.count == 1:
            return True
        ends = torch.tensor([value, -value], dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(ends, op=torch.distributed.ReduceOp.MAX)
        return float(ends[0]) == -float(ends[1])

    def spread(self, tensors: Iterable[torch.Tensor]) -> None:
        """Give the main process's tensors to all, in place."""
        if self.count > 1:
            for tensor in tensors:
                torch.distributed.broadcast(tensor, src=0)


def _zero_gradient(parameter: torch.nn.Parameter) -> torch.Tensor:
    parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def _buckets(gradients: list[torch.Tensor]) -> Iterable[list[torch.Tensor]]:
    bucket: list[torch.Tensor] = []
    for gradient in gradients:
        if bucket and sum(one.numel() for one in bucket) + gradient.numel() > _BUCKET:
            yield bucket
            bucket = []
        bucket.append(gradient)
    if bucket:
        yield bucket


def choose_device() -> torch.device:
    """Give the GPU where there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@cache
def processes() -> Processes:
    """Give the processes that share this training: as the launcher's environment says, else this one alone.

    Raises
    ------
    MissingExtraError
        If a launcher started several and accelerate is not installed.
    """
    if "RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return Processes(0, 1, choose_device())
    try:
        from accelerate import PartialState
    except ImportError as error:
        raise MissingExtraError("training with several processes", "train") from error
    state = PartialState(cpu=not torch.cuda.is_available())
    return Processes(state.process_index, state.num_processes, state.device)


def part_ways() -> None:
    """End the connection between the processes, where there is one."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()

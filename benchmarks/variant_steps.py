"""Other losses, steps and rates for `fit_variants.py`, each put in the place of the product's for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from model.network import masked_loss
from model.prediction import autocast
from model.tokens import memory_parts, pad, shuffled_batches

Step = Callable[[ModuleType], AbstractContextManager[None]]
ADVERSARY, LAYER_DECAY = 0.5, 0.8
MASKED_PASSES, MASKED_SHARE, MASKED_RATE = 3, 0.15, 5e-5


@contextmanager
def _replaced(module: ModuleType, **others: Any) -> Iterator[None]:
    own = {name: getattr(module, name) for name in others}
    for name, other in others.items():
        setattr(module, name, other)
    try:
        yield
    finally:
        for name, value in own.items():
            setattr(module, name, value)


@contextmanager
def _loss(module: ModuleType, weigh: Callable[..., torch.Tensor]) -> Iterator[None]:
    def loss(logits: torch.Tensor, present: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        each = nn.functional.binary_cross_entropy_with_logits(logits, present, reduction="none")
        return (each * weigh(logits, present) * known.unsqueeze(-1)).sum() / (10.0 * len(logits))

    with _replaced(module, masked_loss=loss):
        yield


def _asymmetric(logits: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    return torch.where(present > 0.5, 1.0, (torch.sigmoid(logits) / 0.5).clamp(max=1.0) ** 2)


def _focal(logits: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    likely = torch.sigmoid(logits)
    return 2.0 * torch.where(present > 0.5, 1.0 - likely, likely)


@contextmanager
def _balanced(module: ModuleType) -> Iterator[None]:
    own = module._Run

    class Run(own):  # type: ignore[misc, valid-type]
        def __init__(self, network: Any, train: Any, *others: Any) -> None:
            super().__init__(network, train, *others)
            share = train.present.sum(0) / np.maximum(1.0, train.known.sum(0))[:, None]
            usual = np.median(share[share > 0])
            weights = np.clip((usual / np.maximum(share, 1e-6)) ** 0.25, 1.0, 4.0)
            weight = torch.from_numpy(weights.astype(np.float32))
            self.weigh = lambda logits, present: torch.where(present > 0.5, weight, torch.ones(()))

        def _learn(self, batch: Any) -> float:
            with _loss(module, self.weigh):
                return float(super()._learn(batch))

    with _replaced(module, _Run=Run):
        yield


def _run_with(learn: Callable[..., torch.Tensor]) -> Step:
    """Give a step whose loss of a part of a batch is another; `learn` makes its own gradients."""

    @contextmanager
    def step(module: ModuleType) -> Iterator[None]:
        own = module._Run

        class Run(own):  # type: ignore[misc, valid-type]
            def _learn(self, batch: Any) -> float:
                self.optimizer.zero_grad(set_to_none=True)
                total = 0.0
                for part in memory_parts(batch, self.lengths):
                    ids, mask = pad([self.train.comments[i] for i in part], self.pad_id, stepped=True)
                    inputs = torch.from_numpy(ids), torch.from_numpy(mask)
                    present, known = (
                        torch.from_numpy(array[part]) for array in (self.train.present, self.train.known)
                    )
                    total += float(learn(self, inputs, present, known, len(part) / len(batch)))
                nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip)
                self.optimizer.step()
                self.schedule.step()
                self.average.update()
                self.step += 1
                return total

        with _replaced(module, _Run=Run):
            yield

    return step


def _adversary(run: Any, inputs: Any, present: Any, known: Any, share: float) -> torch.Tensor:
    words = run.network.backbone.get_input_embeddings().weight

    def learn() -> torch.Tensor:
        with autocast(run.device, run.precision):
            logits, _ = run.network(*inputs)
        loss = masked_loss(logits, present, known) * share
        torch.autograd.backward(loss)
        return loss.detach()

    before = None if words.grad is None else words.grad.clone()
    loss = learn()
    with torch.no_grad():
        slope = words.grad if before is None else words.grad - before
        shift = ADVERSARY * slope / (slope.norm() + 1e-12)
        words += shift
    learn()
    with torch.no_grad():
        words -= shift
    return loss


@contextmanager
def _layers(module: ModuleType) -> Iterator[None]:
    own = module.optimizer_for

    def optimizer_for(network: Any, settings: Any, steps: int, haste: float) -> Any:
        optimizer, schedule = own(network, settings, steps, haste)
        depth = len(network.backbone.encoder.layer)
        for (name, _), group in zip(network.named_parameters(), optimizer.param_groups, strict=True):
            if ".layer." in name:
                below = depth - 1 - int(name.split(".layer.")[1].split(".")[0])
            else:
                below = depth if name.startswith("backbone.") else 0
            group["lr"] *= LAYER_DECAY**below
            group["initial_lr"] *= LAYER_DECAY**below
        schedule.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        return optimizer, schedule

    with _replaced(module, optimizer_for=optimizer_for):
        yield


@contextmanager
def _adapted(module: ModuleType) -> Iterator[None]:
    own = module._Run

    class Run(own):  # type: ignore[misc, valid-type]
        def __init__(self, network: Any, train: Any, held: Any, pad_id: int, *others: Any) -> None:
            if not hasattr(network, "adapted"):
                adapt(network.backbone, train.comments, pad_id, others[0].seed)
                network.adapted = True
            super().__init__(network, train, held, pad_id, *others)

    with _replaced(module, _Run=Run):
        yield


def adapt(backbone: Any, comments: Sequence[Any], pad_id: int, seed: int) -> float:
    """Let an encoder guess hidden words of comments before it is fitted, and give the last pass's mean loss.

    As Gururangan et al. 2020, "Don't stop pretraining", do: 15% of the words are hidden, by a vector
    that is learnt.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    words = backbone.get_input_embeddings().weight
    width = words.shape[1]
    hidden = nn.Parameter(words.detach().mean(0))
    guess = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width), nn.Linear(width, width))
    head = [hidden, *guess.parameters()]
    optimizer = torch.optim.AdamW(
        [{"params": list(backbone.parameters()), "lr": MASKED_RATE}, {"params": head, "lr": 1e-3}]
    )
    lengths = np.array([len(one.ids) for one in comments])
    backbone.train()
    total = 0.0
    for _ in range(MASKED_PASSES):
        losses = []
        for batch in shuffled_batches(lengths, 32, rng):
            ids, mask = (
                torch.from_numpy(one) for one in pad([comments[i] for i in batch], pad_id, stepped=True)
            )
            inner = mask.bool() & (torch.arange(ids.shape[1]) > 0)
            inner[:, :-1] &= mask[:, 1:].bool()  # not the last token, which ends the comment
            chosen = inner & torch.from_numpy(rng.random(tuple(ids.shape)) < MASKED_SHARE)
            if not chosen.any():
                continue
            seen = torch.where(chosen.unsqueeze(-1), hidden, words[ids])
            with autocast(words.device, "bf16"):
                states = backbone(inputs_embeds=seen, attention_mask=mask).last_hidden_state
                logits = guess(states[chosen]) @ words.t()
            loss = nn.functional.cross_entropy(logits.float(), ids[chosen])
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_([*backbone.parameters(), *head], 1.0)
            optimizer.step()
            losses.append(float(loss.detach()))
        total = float(np.mean(losses))
    return total


@contextmanager
def _as_it_is(module: ModuleType) -> Iterator[None]:
    yield


STEPS: dict[str, Step] = {
    "": _as_it_is,
    "fgm": _run_with(_adversary),
    "asymmetric": lambda module: _loss(module, _asymmetric),
    "focal": lambda module: _loss(module, _focal),
    "balanced": _balanced,
    "layers": _layers,
    "adapted": _adapted,
}

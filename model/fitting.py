"""Fine-tuning: encoder and head together, in bf16 where it pays, stopping when validation no longer gains."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from model.averaging import WeightAverage
from model.decision import decide, tune_thresholds
from model.network import ReasonCodeNetwork, masked_loss
from model.tokens import TokenizedComment, length_batches, pad, shuffled_batches

Arrays = NDArray[np.float32]


@dataclass(frozen=True)
class FitSettings:
    """How to fine-tune.

    Attributes
    ----------
    epochs
        The most passes over the comments; the learning rate falls to 0 over them.
    least_steps
        Small sets get more passes, so that at least this many steps are made.
    batch_size
        Comments in a step.
    encoder_rate, head_rate
        Peak learning rates of AdamW (Loshchilov and Hutter 2019); a set of fewer than `small` comments
        learns at twice these, which the sample's few steps need (see ``docs/quality.md``).
    small
        Comments below which a set counts as small.
    weight_decay, warmup, clip
        Of AdamW; share of steps that the rate rises; greatest gradient norm.
    average
        Decay of the moving average of the weights, which is what is validated and kept.
    patience
        Passes without a gain on validation after which to stop.
    seed
        Decides the head's start, the order and the dropout.
    threads
        Processor threads; torch's own choice where None.
    precision
        ``bf16``, ``fp32``, or ``auto`` to measure and choose.
    """

    epochs: int = 6
    least_steps: int = 400
    batch_size: int = 32
    encoder_rate: float = 1e-4
    head_rate: float = 1e-3
    small: int = 2500
    weight_decay: float = 0.01
    warmup: float = 0.1
    clip: float = 1.0
    average: float = 0.998
    patience: int = 3
    seed: int = 0
    threads: int | None = None
    precision: str = "auto"

    def passes(self, n_comments: int) -> int:
        """How many epochs a set of that size gets: more for a small one, 30 at most."""
        steps_per_epoch = max(1, -(-n_comments // self.batch_size))
        return min(30, max(self.epochs, -(-self.least_steps // steps_per_epoch)))


@dataclass(frozen=True)
class Fold:
    """Comments with their targets: `present` (n, n_codes, 3) and `known` (n, n_codes)."""

    comments: Sequence[TokenizedComment]
    present: Arrays
    known: Arrays


@dataclass(frozen=True)
class Progress:
    """Where the fit stands, told after every step."""

    step: int
    steps: int
    epoch: int
    loss: float
    validation_f1: float | None


@dataclass(frozen=True)
class FitResult:
    """What a fit came to: per-epoch history, the epoch kept, and where and how it ran."""

    history: tuple[dict[str, float], ...]
    best_epoch: int
    precision: str
    device: str


def choose_device() -> torch.device:
    """Give the GPU where there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def bf16_pays(device: torch.device) -> bool:
    """Measure whether bf16 matrix products beat fp32 here; some processors only emulate them, very slowly."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())

    def seconds(dtype: torch.dtype) -> float:
        left, right = torch.randn(256, 384).to(dtype), torch.randn(384, 1536).to(dtype)
        left @ right
        best = float("inf")
        for _ in range(5):
            start = time.perf_counter()
            left @ right
            best = min(best, time.perf_counter() - start)
        return best

    return seconds(torch.bfloat16) < 0.8 * seconds(torch.float32)


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Give the context in which the network computes in that precision."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def fit_network(
    network: ReasonCodeNetwork,
    train: Fold,
    validation: Fold | None,
    pad_id: int,
    settings: FitSettings,
    on_progress: Callable[[Progress], None] | None = None,
) -> FitResult:
    """Fine-tune a network in place, leaving it with the weights of its best epoch.

    Parameters
    ----------
    network
        Changed in place; ends on the processor in evaluation mode.
    train, validation
        Validation decides when to stop and which epoch to keep; None keeps the last.
    pad_id
        The tokenizer's padding token.
    settings
        See `FitSettings`.
    on_progress
        Called after every step.
    """
    device = choose_device()
    precision = settings.precision
    if precision == "auto":
        precision = "bf16" if bf16_pays(device) else "fp32"
    network.to(device)
    rng = np.random.default_rng(settings.seed)
    lengths = np.array([len(comment.ids) for comment in train.comments])
    epochs = settings.passes(len(lengths))
    steps = epochs * max(1, -(-len(lengths) // settings.batch_size))
    optimizer, schedule = _optimizer(network, settings, steps, 2.0 if len(lengths) < settings.small else 1.0)
    average = WeightAverage(network, settings.average)
    history: list[dict[str, float]] = []
    best: tuple[float, int, dict[str, torch.Tensor]] | None = None
    step = 0
    for epoch in range(1, epochs + 1):
        network.train()
        total = 0.0
        for batch in shuffled_batches(lengths, settings.batch_size, rng):
            loss = _step(network, train, batch, pad_id, device, precision, optimizer, settings.clip)
            schedule.step()
            average.update()
            step += 1
            total += loss
            if on_progress:
                last = history[-1].get("validation_f1") if history else None
                on_progress(Progress(step, steps, epoch, loss, last))
        record = {"epoch": float(epoch), "loss": total / max(1, steps // epochs)}
        history.append(record)
        if validation is not None and len(validation.comments):
            with average.applied():
                score = _validation_f1(network, validation, pad_id, precision)
                if best is None or score > best[0]:
                    best = (score, epoch, _copy(network))
            record["validation_f1"] = score
            if epoch - best[1] >= settings.patience:
                break
    if best is None:
        with average.applied():
            best = (0.0, epochs, _copy(network))
    network.load_state_dict(best[2])
    network.to("cpu").eval()
    return FitResult(tuple(history), best[1], precision, device.type)


def _copy(network: ReasonCodeNetwork) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}


def _optimizer(
    network: ReasonCodeNetwork, settings: FitSettings, steps: int, haste: float
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    groups = []
    for name, parameter in network.named_parameters():
        rate = settings.encoder_rate if name.startswith("backbone.") else settings.head_rate
        decays = parameter.ndim > 1 and not name.endswith("bias")
        decay = settings.weight_decay if decays else 0.0
        groups.append({"params": [parameter], "lr": haste * rate, "weight_decay": decay})
    optimizer = torch.optim.AdamW(groups, fused=True)
    rise = max(1.0, settings.warmup * steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda t: min((t + 1) / rise, max(0.0, (steps - t) / max(1.0, steps - rise)))
    )
    return optimizer, schedule


def _step(
    network: ReasonCodeNetwork,
    fold: Fold,
    batch: NDArray[np.intp],
    pad_id: int,
    device: torch.device,
    precision: str,
    optimizer: torch.optim.Optimizer,
    clip: float,
) -> float:
    ids, mask = pad([fold.comments[i] for i in batch], pad_id)
    with autocast(device, precision):
        logits, _ = network(torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device))
    present = torch.from_numpy(fold.present[batch]).to(device)
    loss = masked_loss(logits, present, torch.from_numpy(fold.known[batch]).to(device))
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    nn.utils.clip_grad_norm_(network.parameters(), clip)
    optimizer.step()
    return float(loss.detach())


def _validation_f1(network: ReasonCodeNetwork, fold: Fold, pad_id: int, precision: str) -> float:
    probabilities, _ = predict_network(network, fold.comments, pad_id, precision)
    chosen = decide(probabilities, tune_thresholds(probabilities, fold.present, fold.known))
    weight = fold.known[..., None]
    hits = float((chosen * fold.present * weight).sum())
    picked, positives = float((chosen * weight).sum()), float((fold.present * weight).sum())
    return 2 * hits / max(1.0, picked + positives)


def predict_network(
    network: ReasonCodeNetwork, comments: Sequence[TokenizedComment], pad_id: int, precision: str = "fp32"
) -> tuple[Arrays, list[Arrays]]:
    """Score tokenized comments, batched by length, without gradients.

    Returns
    -------
    probabilities : ndarray of shape (n, n_codes, n_polarities)
    attention : list of ndarray of shape (n_codes, tokens), one for each comment
    """
    network.eval()
    device = next(network.parameters()).device
    n_codes, n_polarities = network.bias.shape
    probabilities = np.zeros((len(comments), n_codes, n_polarities), np.float32)
    attention: list[Arrays] = [np.zeros((n_codes, 0), np.float32)] * len(comments)
    lengths = np.array([len(comment.ids) for comment in comments], np.int64)
    with torch.inference_mode(), autocast(device, precision):
        for batch in length_batches(lengths, tokens=4096):
            ids, mask = pad([comments[i] for i in batch], pad_id)
            logits, looked = network(torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device))
            probabilities[batch] = torch.sigmoid(logits).cpu().numpy()
            weights = looked.float().cpu().numpy()
            for place, i in enumerate(batch):
                attention[i] = weights[place, :, : lengths[i]]
    return probabilities, attention

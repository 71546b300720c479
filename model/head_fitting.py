"""The head fitted anew on token states that are kept, under an encoder that stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from model.averaging import WeightAverage
from model.decision import decide, tune_thresholds
from model.dropout import draw_from_bytes
from model.fit_settings import FitSettings
from model.fitting import Progress, optimizer_for
from model.network import ReasonCodeNetwork, masked_loss
from model.state_cache import CachedStates
from model.tokens import length_batches, shuffled_batches

Arrays = NDArray[np.float32]

HEAD_FIT = FitSettings(epochs=7, least_steps=300, batch_size=64, head_rate=3e-3, average=0.99, patience=3)
"""A head learns in more passes than an encoder, each a hundredth of the work."""


@dataclass(frozen=True)
class StatesFold:
    """Token states with their targets: `present` (n, n_codes, 3) and `known` (n, n_codes)."""

    states: CachedStates
    present: Arrays
    known: Arrays


def fit_head(
    head: ReasonCodeNetwork,
    train: StatesFold,
    validation: StatesFold | None,
    settings: FitSettings = HEAD_FIT,
    *,
    reader: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> tuple[dict[str, float], ...]:
    """Fit the codes' own parameters in place, leaving the averaged ones of the best epoch.

    Parameters
    ----------
    head
        A network without an encoder; see `model.code_parameters.CodeParameters.head`.
    train, validation
        Validation decides when to stop and which epoch to keep; None keeps the last.
    settings
        Epochs, batch size, head rate, averaging, patience and seed count.
    reader
        Whether the shared reader learns too; every code, annotated or not, then reads otherwise.
    on_progress
        Called after every step.

    Returns
    -------
    tuple of dict
        Figures of each epoch.
    """
    head.reader.requires_grad_(reader)
    draw_from_bytes(head, np.random.Generator(np.random.SFC64(settings.seed)))
    order = np.random.default_rng(settings.seed)
    lengths = train.states.lengths
    epochs = settings.passes(len(lengths))
    steps = epochs * max(1, -(-len(lengths) // settings.batch_size))
    optimizer, schedule = optimizer_for(head, settings, steps, 1.0)
    average = WeightAverage(head, settings.average)
    history: list[dict[str, float]] = []
    best, best_epoch, state = -1.0, 0, {}
    step = 0
    for epoch in range(1, epochs + 1):
        head.train()
        total = 0.0
        for batch in shuffled_batches(lengths, settings.batch_size, order):
            logits, _ = head.score(*train.states.batch(batch))
            present, known = (torch.from_numpy(part[batch]) for part in (train.present, train.known))
            loss = masked_loss(logits, present, known)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(head.parameters(), settings.clip)
            optimizer.step()
            schedule.step()
            average.update()
            step += 1
            total += float(loss.detach())
            if on_progress:
                last = history[-1].get("validation_f1") if history else None
                on_progress(Progress(step, steps, epoch, float(loss.detach()), last))
        record = {"epoch": float(epoch), "loss": total * epochs / steps}
        with average.applied():
            score = float(epoch)
            if validation is not None and len(validation.states):
                score = record["validation_f1"] = _f1(head, validation)
            if score > best:
                best, best_epoch = score, epoch
                state = {name: value.detach().clone() for name, value in head.state_dict().items()}
        history.append(record)
        if epoch - best_epoch >= settings.patience:
            break
    head.load_state_dict(state)
    head.eval()
    return tuple(history)


def predict_head(head: ReasonCodeNetwork, states: CachedStates) -> Arrays:
    """Give the probability of every pair, shape (n_comments, n_codes, n_polarities)."""
    head.eval()
    probabilities = np.zeros((len(states), *head.bias.shape), np.float32)
    with torch.inference_mode():
        for batch in length_batches(states.lengths, tokens=4096):
            logits, _ = head.score(*states.batch(batch))
            probabilities[batch] = torch.sigmoid(logits).numpy()
    return probabilities


def _f1(head: ReasonCodeNetwork, fold: StatesFold) -> float:
    probabilities = predict_head(head, fold.states)
    chosen = decide(probabilities, tune_thresholds(probabilities, fold.present, fold.known))
    weight = fold.known[..., None]
    hits = float((chosen * fold.present * weight).sum())
    return 2 * hits / max(1.0, float((chosen * weight).sum() + (fold.present * weight).sum()))

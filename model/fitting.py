"""Fine-tuning: encoder and head together, in bf16 where it pays."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from model.averaging import WeightAverage
from model.checkpoint import Checkpoint, CheckpointPlace, read_checkpoint, write_checkpoint
from model.contrast import contrast
from model.decision import decide, tune_thresholds
from model.devices import Processes, processes
from model.dropout import draw_from_bytes
from model.fit_settings import FitSettings
from model.network import ReasonCodeNetwork, disagreement, masked_loss
from model.prediction import autocast, bf16_pays, predict_network
from model.tokens import TokenizedComment, memory_parts, pad, shuffled_batches
from model.vocabulary import TrimmedVocabulary

Arrays = NDArray[np.float32]


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
    """What a fit came to: per-epoch history, the epoch whose weights are kept, and where and how it ran."""

    history: tuple[dict[str, float], ...]
    best_epoch: int
    precision: str
    device: str
    processes: int = 1


def fit_network(
    network: ReasonCodeNetwork,
    train: Fold,
    validation: Fold | None,
    pad_id: int,
    settings: FitSettings,
    on_progress: Callable[[Progress], None] | None = None,
    checkpoint: CheckpointPlace | None = None,
) -> FitResult:
    """Fine-tune a network in place, leaving it with the averaged weights of its last epoch, or of its best.

    Parameters
    ----------
    network
        Changed in place; ends on the processor in evaluation mode.
    train, validation
        Validation is measured after every epoch; with patience it decides when to stop and which to keep.
    pad_id
        The tokenizer's padding token.
    settings
        See `FitSettings`.
    on_progress
        Called after every step, in the main process.
    checkpoint
        Where the state is kept after every epoch, and taken up from; of a fit that is over, at its end.

    Notes
    -----
    Where a launcher started several processes (see `model.devices`), each calls this with the same
    arguments and learns from its share of the batches; all end with the same weights. A step then reads
    as many times more comments, and the rates grow with the root of that (Malladi et al. 2022, "On the
    SDEs and scaling rules for adaptive gradient algorithms").
    """
    group = processes()
    precision = settings.precision
    if precision == "auto":
        (pays,) = group.agreed(bf16_pays(group.device))
        precision = "bf16" if pays else "fp32"
    held = validation if validation is not None and len(validation.comments) else None
    words = TrimmedVocabulary(
        network.backbone, [*train.comments, *(held.comments if held else ())], always=(pad_id,)
    )
    fold = dataclasses.replace(train, comments=words.comments(train.comments))
    held = held and dataclasses.replace(held, comments=words.comments(held.comments))
    network.to(group.device)
    run = _Run(network, fold, held, words.pad_id, settings, group, precision)
    if checkpoint is not None:
        run.resume(checkpoint)
    while run.goes_on():
        run.epoch(on_progress if group.is_main else None)
        if checkpoint is not None and group.is_main:
            run.keep(checkpoint)
    network.load_state_dict(run.best_weights())
    words.restore()
    network.to("cpu").eval()
    return FitResult(tuple(run.history), run.best_epoch, run.precision, group.device.type, group.count)


class _Run:
    """A fit under way: everything that changes from step to step."""

    def __init__(
        self,
        network: ReasonCodeNetwork,
        train: Fold,
        held: Fold | None,
        pad_id: int,
        settings: FitSettings,
        group: Processes,
        precision: str,
    ) -> None:
        self.network, self.train, self.held, self.settings = network, train, held, settings
        self.pad_id, self.group, self.device, self.precision = pad_id, group, group.device, precision
        self.order = np.random.default_rng(settings.seed)
        # Every process drops other elements; the first one those that it drops when it is alone.
        seed = settings.seed if group.is_main else [settings.seed, group.index]
        self.drops = np.random.Generator(np.random.SFC64(seed))
        draw_from_bytes(network, self.drops)
        self.lengths = np.array([len(comment.ids) for comment in train.comments])
        self.epochs = settings.passes(len(self.lengths), train.known.shape[1], group.count)
        batches = max(1, -(-len(self.lengths) // settings.batch_size))
        self.steps = self.epochs * -(-batches // group.count)
        haste = (2.0 if len(self.lengths) < settings.small else 1.0) * group.count**0.5
        self.optimizer, self.schedule = optimizer_for(network, settings, self.steps, haste)
        self.again = np.zeros(0, np.bool_)
        self.contrasts = settings.contrast > 0 and len(self.lengths) < settings.contrast_below
        self.average = WeightAverage(network, settings.average)
        self.history: list[dict[str, float]] = []
        self.best_score, self.best_epoch = -1.0, 0
        self.best: dict[str, torch.Tensor] = {}
        self.step = 0

    def goes_on(self) -> bool:
        """Tell whether another epoch is due."""
        done = len(self.history)
        waits = self.settings.patience if self.held is not None else 0
        return done < self.epochs and (not waits or done - self.best_epoch < waits)

    def epoch(self, on_progress: Callable[[Progress], None] | None) -> None:
        """Pass over the comments once, then look at the validation part."""
        self.network.train()
        plan, total, number = self.settings, 0.0, len(self.history) + 1
        twice = len(self.lengths) >= plan.consistency_from and number > plan.consistency_after
        # Of a batch, not of its parts: a part of one comment would be read twice each time.
        self.again = np.zeros(plan.batch_size, np.bool_)
        self.again[:: plan.consistency_every] = plan.consistency > 0 and twice
        batches = shuffled_batches(self.lengths, self.settings.batch_size, self.order)
        for batch in self.group.share(batches):
            loss = self._learn(batch)
            total += loss
            if on_progress:
                last = self.history[-1].get("validation_f1") if self.history else None
                on_progress(Progress(self.step, self.steps, number, loss, last))
        record = {"epoch": float(number), "loss": total / max(1, self.steps // self.epochs)}
        with self.average.applied():
            score = float(number)  # the last epoch is the best, unless patience makes it a choice
            if self.held is not None:
                record["validation_f1"] = self._validate(self.held)
                score = record["validation_f1"] if self.settings.patience else score
            if score > self.best_score:
                self.best_score, self.best_epoch, self.best = score, number, _copy(self.network)
        self.history.append(record)

    def best_weights(self) -> dict[str, torch.Tensor]:
        """Give the averaged weights of the epoch that is kept."""
        return self.best or _copy(self.network)

    def _validate(self, held: Fold) -> float:
        """Give the F1 on the validation part, which the main process finds for all."""
        found = 0.0
        if self.group.is_main:
            found = _validation_f1(self.network, held, self.pad_id, self.precision)
        (score,) = self.group.agreed(found)
        return score

    def _learn(self, batch: NDArray[np.intp]) -> float:
        """Make a step; long comments are read in parts, whose gradients add up to the batch's own.

        But for the contrast, which is between the comments of a part.
        """
        self.optimizer.zero_grad(set_to_none=True)
        total = 0.0
        places = np.arange(len(batch))
        for chosen in memory_parts(places, self.lengths[batch], 1 + self.again.mean()):
            loss = self._loss(batch, chosen)
            torch.autograd.backward(loss)
            total += float(loss.detach())
        self.group.average(self.network.parameters())
        nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip)
        self.optimizer.step()
        self.schedule.step()
        self.average.update()
        self.step += 1
        return total

    def _tensors(self, *arrays: NDArray[Any]) -> list[torch.Tensor]:
        return [torch.from_numpy(array).to(self.device) for array in arrays]

    def _loss(self, batch: NDArray[np.intp], chosen: NDArray[np.intp]) -> torch.Tensor:
        """Give what the chosen places of a batch add to its loss.

        What is read again has other elements dropped then.
        """
        plan, part, again = self.settings, batch[chosen], np.flatnonzero(self.again[chosen])
        n, read = len(part), np.concatenate([part, part[again]])
        ids, mask = pad([self.train.comments[i] for i in read], self.pad_id, stepped=True)
        arrays = (ids, mask, self.train.present[read], self.train.known[read])
        input_ids, real, present, known = self._tensors(*arrays)
        with autocast(self.device, self.precision):
            if self.contrasts:
                states = self.network.backbone(input_ids=input_ids, attention_mask=real).last_hidden_state
                logits, _ = self.network.score(states, real)
            else:
                logits, _ = self.network(input_ids, real)
        all_again = int(self.again[: len(batch)].sum())
        loss = masked_loss(logits, present, known) * (len(read) / (len(batch) + all_again))
        if len(again):
            differ = disagreement(logits[again], logits[n:], known[n:])
            loss = loss + plan.consistency * differ * (len(again) / all_again)
        if self.contrasts:
            loss = loss + plan.contrast * contrast(states, real, present, known) * (n / len(batch))
        return loss

    def keep(self, place: CheckpointPlace) -> None:
        """Write the state down."""
        tensors = {f"best.{name}": value for name, value in self.best.items()}
        for i, (parameter, mean) in enumerate(
            zip(self.average.parameters, self.average.average, strict=True)
        ):
            tensors |= {f"own.{i}": parameter, f"average.{i}": mean}
            for name, value in self.optimizer.state[parameter].items():
                tensors[f"optimizer.{i}.{name}"] = value
        facts = {
            "step": self.step,
            "history": self.history,
            "best_score": self.best_score,
            "best_epoch": self.best_epoch,
            "precision": self.precision,
            "order": self.order.bit_generator.state,
            "drops": _plain(self.drops.bit_generator.state),
        }
        write_checkpoint(place.path, place.key, Checkpoint(tensors, facts))

    def resume(self, place: CheckpointPlace) -> None:
        """Take up a state that was written down, if it is of this fit and all processes find it."""
        found = read_checkpoint(place.path, place.key)
        if not self.group.alike(found.facts["step"] if found else 0) or found is None:
            return
        with torch.no_grad():
            for i, parameter in enumerate(self.average.parameters):
                parameter.copy_(found.tensors[f"own.{i}"])
                self.average.average[i].copy_(found.tensors[f"average.{i}"])
                start = f"optimizer.{i}."
                self.optimizer.state[parameter] = {
                    # The count of steps too: a fused step needs it there.
                    name.removeprefix(start): value.to(parameter.device)
                    for name, value in found.tensors.items()
                    if name.startswith(start)
                }
        facts = found.facts
        self.precision = facts["precision"]  # measured then; another would not go on bit for bit
        self.best = {n.removeprefix("best."): v for n, v in found.tensors.items() if n.startswith("best.")}
        self.step = self.average.steps = facts["step"]
        self.history, self.best_score, self.best_epoch = (
            facts["history"],
            facts["best_score"],
            facts["best_epoch"],
        )
        self.schedule.last_epoch = self.step - 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch misses the steps that the killed process made
            self.schedule.step()
        self.order.bit_generator.state = facts["order"]
        state = facts["drops"]
        state["state"]["state"] = np.array(state["state"]["state"], np.uint64)
        if self.group.is_main:
            self.drops.bit_generator.state = state


def _plain(state: Any) -> Any:
    """Give a generator's state as plain JSON values."""
    if isinstance(state, dict):
        return {name: _plain(value) for name, value in state.items()}
    return state.tolist() if isinstance(state, np.ndarray) else state


def _copy(network: ReasonCodeNetwork) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}


def optimizer_for(
    network: ReasonCodeNetwork, settings: FitSettings, steps: int, haste: float
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """Give AdamW over a network's parameters, and rates that rise, then fall to 0 over `steps`.

    Parameters
    ----------
    network
        Whose encoder learns at `settings.encoder_rate`, the rest at `settings.head_rate`. An encoder wider
        than `settings.encoder_width` learns at a rate that falls with its width (Yang et al. 2022, "Tensor
        programs V"): what suits MiniLM is twice what base encoders are known to bear.
    settings
        Rates, warm-up and decay.
    steps
        Of the whole fit.
    haste
        Multiplies both rates.
    """
    groups = []
    encoder_rate = settings.encoder_rate * min(1.0, settings.encoder_width / network.width)
    for name, parameter in network.named_parameters():
        rate = encoder_rate if name.startswith("backbone.") else settings.head_rate
        decays = parameter.ndim > 1 and not name.endswith("bias")
        decay = settings.weight_decay if decays else 0.0
        groups.append({"params": [parameter], "lr": haste * rate, "weight_decay": decay})
    optimizer = torch.optim.AdamW(groups, fused=True)
    rise = max(1.0, settings.warmup * steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda t: min((t + 1) / rise, max(0.0, (steps - t) / max(1.0, steps - rise)))
    )
    return optimizer, schedule


def _validation_f1(network: ReasonCodeNetwork, fold: Fold, pad_id: int, precision: str) -> float:
    probabilities, _ = predict_network(network, fold.comments, pad_id, precision)
    chosen = decide(probabilities, tune_thresholds(probabilities, fold.present, fold.known))
    weight = fold.known[..., None]
    hits = float((chosen * fold.present * weight).sum())
    picked, positives = float((chosen * weight).sum()), float((fold.present * weight).sum())
    return 2 * hits / max(1.0, picked + positives)

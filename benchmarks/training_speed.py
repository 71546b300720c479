"""How fast the product trains beside transformers' Trainer with its defaults, from the same encoder.

Run: ``python benchmarks/training_speed.py --threads 2`` on a machine that does nothing else. The two take
turns, each going once through the same random comments of FABSA, cut at the same length, in one process
with the same threads: ours in steps of 32 comments as ``whyscore train`` makes them, Trainer's in steps of
8 in fp32, over `AutoModelForSequenceClassification` with one output for each (code, polarity). Timed from
the end of the first step to the end of the last; ours in passes that read each comment once, and in those
that read every so many-th twice. What a whole training takes is extrapolated from that, for the same number
of passes, and for Trainer's default number. Hypothesis: Trainer takes at least four times as long.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import protocols
import torch
from measurement import Part, Problem, read_problem, set_apart
from measuring_sets import ROOT

from model.classifier import ReasonCodeClassifier
from model.definitions import code_texts
from model.encoder import load_tokenizer, resolve_encoder
from model.fit_settings import FitSettings
from model.starter import find_starter
from model.tokens import tokenize

OUT = ROOT / "benchmarks" / "out" / "quality"
MAX_TOKENS = 256


@dataclass(frozen=True)
class Turn:
    """One turn: comments read for training between two moments, and the seconds between them."""

    comments: int
    wall: float
    cpu: float

    @property
    def rate(self) -> float:
        """Comments in a second."""
        return self.comments / self.wall


class Watch:
    """Notes the moments at which steps end."""

    def __init__(self) -> None:
        self.moments: list[tuple[float, float]] = []

    def note(self, *_: Any) -> None:
        """Note one."""
        self.moments.append((time.perf_counter(), time.process_time()))

    def turn(self, size: int) -> Turn:
        """Give what lies between the first and the last moment, for steps of `size` comments."""
        (wall, cpu), (wall_end, cpu_end) = self.moments[0], self.moments[-1]
        return Turn(size * (len(self.moments) - 1), wall_end - wall, cpu_end - cpu)


def ours(problem: Problem, part: Part, threads: int, twice: bool) -> Turn:
    """Go once through the comments as the product does in passes that read each once, or some twice."""
    watch = Watch()
    reads = {"consistency_from": 0, "consistency_after": 0} if twice else {"consistency": 0.0}
    settings = FitSettings(epochs=1, least_steps=0, threads=threads, contrast=0.0, **reads)  # type: ignore[arg-type]
    codes = problem.labels.codes
    texts = [code_texts(problem.taxonomy[code]) for code in codes]
    starter = find_starter(resolve_encoder().sha256)
    classifier = ReasonCodeClassifier(codes, None, settings, MAX_TOKENS, texts, starter)
    classifier.fit(part.comments, part.targets, on_progress=watch.note)
    return watch.turn(settings.batch_size)


def trainers(problem: Problem, part: Part, threads: int) -> Turn:
    """Go once through the comments with transformers' Trainer and its defaults."""
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        PrinterCallback,
        Trainer,
        TrainerCallback,
    )
    from transformers import TrainingArguments as Arguments
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", message=".*pin_memory")
    torch.set_num_threads(threads)
    watch = Watch()

    class Steps(TrainerCallback):  # type: ignore[misc]  # transformers is not type-checked here
        def on_step_end(self, *_: Any, **__: Any) -> None:
            watch.note()

    folder = resolve_encoder().folder
    labels = part.present.reshape(len(part.comments), -1)
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=labels.shape[1], problem_type="multi_label_classification"
    )
    tokens = tokenize(load_tokenizer(folder, MAX_TOKENS), part.comments)
    rows = [{"input_ids": one.ids, "labels": label} for one, label in zip(tokens, labels, strict=True)]
    with tempfile.TemporaryDirectory(prefix="trainer-") as scratch:
        arguments = Arguments(
            scratch, num_train_epochs=1, save_strategy="no", report_to="none", disable_tqdm=True
        )
        tokenizer = AutoTokenizer.from_pretrained(folder)
        trainer = Trainer(
            model, arguments, train_dataset=rows, processing_class=tokenizer, callbacks=[Steps()]
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return watch.turn(arguments.per_device_train_batch_size)


def take_turns(
    methods: Sequence[Callable[[Problem, Part, int], Turn]], rounds: int, comments: int, threads: int
) -> tuple[list[tuple[Turn, ...]], int]:
    """Let the methods take turns on the same comments, the order reversed in every other round.

    Returns
    -------
    turns : list of tuple of Turn
        For each round, one of each method.
    fitted : int
        Comments that a training on FABSA goes through in an epoch.
    """
    problem = read_problem(protocols.grouped(OUT / "files" / "fabsa" / "all" / "0", "fabsa"))
    fitting, _ = set_apart(problem.train)
    rng = np.random.default_rng(0)
    turns = []
    for number in range(rounds):
        part = problem.train.rows(rng.permutation(fitting)[:comments])
        order = list(range(len(methods)))[:: -1 if number % 2 else 1]
        taken = {place: methods[place](problem, part, threads) for place in order}
        turns.append(tuple(taken[place] for place in range(len(methods))))
        print(f"round {number + 1}: {', '.join(f'{turn.rate:.1f}' for turn in turns[-1])} comments/s")
    return turns, len(fitting)


def main() -> None:
    """Take turns, print the rates, and extrapolate to a whole training."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--comments", type=int, default=480, help="of a turn; a multiple of 32")
    arguments = parser.parse_args()
    methods = (partial(ours, twice=False), partial(ours, twice=True), trainers)
    turns, fitted = take_turns(methods, arguments.rounds, arguments.comments, arguments.threads)
    once, twice, other = (median(turn.rate for turn in method) for method in zip(*turns, strict=True))
    plan = FitSettings()
    read_once, passes = plan.consistency_after, plan.epochs
    whole = [read_once / a.rate + (passes - read_once) / b.rate for a, b, _ in turns]
    ratios = [passes / c.rate / own for own, (*_, c) in zip(whole, turns, strict=True)]
    ours_s, trainer_s = fitted * median(whole), fitted / other
    print(
        f"{arguments.comments} comments a turn ({arguments.comments // 32} steps of 32, "
        f"{arguments.comments // 8} of 8), {arguments.rounds} rounds, {arguments.threads} threads\n"
        f"Whyscore {once:.1f} comments/s read once, {twice:.1f} where 1 in {plan.consistency_every} is read "
        f"twice, Trainer {other:.1f}\n"
        f"extrapolated to {fitted:,} comments and {passes} passes, {read_once} of them read once: Whyscore "
        f"{ours_s / 60:.1f} min, Trainer {passes * trainer_s / 60:.1f} min, {median(ratios):.1f} times as "
        f"long ({min(ratios):.1f}-{max(ratios):.1f}); Trainer's default of 3 passes "
        f"{3 * trainer_s / 60:.1f} min, {3 / passes * median(ratios):.1f} times as long"
    )
    kept = OUT / "results" / "training_speed.json"
    kept.parent.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {"threads": arguments.threads, "comments": fitted, "passes": passes}
    result["turns"] = [[vars(turn) for turn in row] for row in turns]
    kept.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

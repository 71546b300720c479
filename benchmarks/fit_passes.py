"""What each pass of a fit gives, and what may follow the last: which pass to keep, and on what to end.

Run: ``python benchmarks/fit_passes.py fabsa``, with ``--set consistency_every=1`` or other fields of
`FitSettings` to fit otherwise, and with ``--encoder FOLDER`` over another encoder. After every pass the
averaged weights are calibrated on the validation part as the product does, and measured on the held-out
part; then the mean of the weights of the last two passes; with ``--gentle`` what a gentle pass makes of
the pass that the validation part prefers: over fitted and validation part, then over the validation part
with none, as many, or three times as many of the others. Hypothesis: the last pass is as good as any, and
what learns from the validation part is too sure.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import torch
from fit_variants import OUT, PROBLEMS
from measurement import Problem, accuracy, read_problem
from measuring_sets import ROOT, Converted, held_out

from data.annotations import read_annotations
from data.settings import Settings
from data.taxonomy import read_taxonomy
from model import fitting
from model.classifier import ReasonCodeClassifier
from model.decision import decide
from model.definitions import code_texts
from model.encoder import resolve_encoder
from model.fit_settings import FitSettings
from model.operating_points import BALANCED
from model.starter import find_starter
from model.vocabulary import TrimmedVocabulary
from training.evaluation import evaluate
from training.reliability import measure_reliability
from training.split import pick, split_by_text

State = dict[str, torch.Tensor]
GENTLE = 1 / 3
"""Share of the learning rates in a gentle pass."""


def sample(folder: Path, seed: int) -> Problem:
    """Hold out 15% of the shipped sample, as of the other sets."""
    del seed
    source = ROOT / "data" / "sample"
    taxonomy = read_taxonomy(source / "taxonomy.yaml")
    rows = list(read_annotations(source / "annotations.jsonl", taxonomy))
    lines = (source / "annotations.jsonl").read_text("utf-8").splitlines(keepends=True)
    files = Converted(source / "taxonomy.yaml", folder / "train.jsonl", folder / "held_out.jsonl")
    folder.mkdir(parents=True, exist_ok=True)
    for path, side in ((files.train, False), (files.held_out, True)):
        kept = [line for line, row in zip(lines, rows, strict=True) if held_out(row.comment) is side]
        path.write_text("".join(kept), encoding="utf-8")
    return read_problem(files)


class Passes:
    """Keeps the averaged weights after every pass of the fits in this process."""

    def __init__(self) -> None:
        self.states: list[State] = []
        self.rows: torch.Tensor = torch.zeros(0, dtype=torch.int64)
        epoch, restore = fitting._Run.epoch, TrimmedVocabulary.restore

        def noted(run: fitting._Run, *others: Any) -> None:
            epoch(run, *others)
            with run.average.applied():
                self.states.append(fitting._copy(run.network))

        def restored(words: TrimmedVocabulary) -> None:
            self.rows = torch.from_numpy(words._kept)
            restore(words)

        fitting._Run.epoch, TrimmedVocabulary.restore = noted, restored  # type: ignore[method-assign]

    def whole(self, final: State) -> list[State]:
        """Give the states with the words that the fit left out put back, and forget them."""
        found = []
        for state in self.states:
            full = dict(state)
            for name in (name for name, value in state.items() if value.shape != final[name].shape):
                full[name] = final[name].clone()
                full[name][self.rows] = state[name]
            found.append(full)
        self.states = []
        return found


class Fit:
    """A classifier of one problem, and what is said of its weights."""

    def __init__(self, problem: Problem, settings: FitSettings, encoder: str | None) -> None:
        codes = problem.taxonomy.active
        texts = [code_texts(problem.taxonomy[code]) for code in codes]
        starter = find_starter(resolve_encoder(encoder).sha256, Settings().home)
        self.problem, self.settings = problem, settings
        self.classifier = ReasonCodeClassifier(codes, encoder, settings, 256, texts, starter)
        self.split = split_by_text(problem.train.comments)

    def part(self, *rows: Any) -> tuple[list[str], list[Any]]:
        """Give comments and targets of the training part at some rows."""
        chosen = np.concatenate(rows)
        return pick(self.problem.train.comments, chosen), pick(self.problem.train.targets, chosen)

    def calibrate(self) -> None:
        """Calibrate the weights as they are on the validation part."""
        comments, targets = self.part(self.split.validation)
        self.classifier._calibrate(comments, self.classifier._fold(comments, targets))

    def tell(self, name: str) -> None:
        """Print the figures of the weights as they are."""
        held, codes = self.problem.held, self.problem.labels.codes
        description = self.classifier._require_description()
        probabilities = self.classifier.predict_proba(held.comments)
        chosen = decide(probabilities, description.threshold_array())
        score = evaluate(chosen, held.present, held.known, codes)
        sure = measure_reliability(probabilities, held.present, held.known, codes)
        worst = max(sure.codes.values(), key=lambda code: code.ece)
        point = description.operating_points[BALANCED].expected
        hits = float((chosen & (held.present > 0)).sum())
        shown = f"accuracy {accuracy(probabilities, held):.4f}, " if self.problem.single else ""
        print(
            f"{name}: {shown}pairs {score.pair_micro.f1:.4f} / {score.pair_macro_f1:.4f}, ECE mean "
            f"{sure.to_dict()['ece']:.4f}, greatest {worst.ece:.4f} (by chance {worst.ece_of_chance:.4f}), "
            f"precision expected {point.precision}, reached {hits / max(1, chosen.sum()):.4f}, recall "
            f"expected {point.recall}, reached {hits / max(1, (held.present > 0).sum()):.4f}",
            flush=True,
        )

    def gently(self, start: State, name: str, *rows: Any) -> None:
        """Go on gently from some weights, with the decisions as they are, and print what comes of it."""
        network = self.classifier._fitted_network()
        network.load_state_dict(start)
        rates = {one: GENTLE * getattr(self.settings, one) for one in ("encoder_rate", "head_rate")}
        plan = dataclasses.replace(self.settings, epochs=1, least_steps=0, seed=1000, **rates)
        fold = self.classifier._fold(*self.part(*rows))
        pad_id = self.classifier._require_description().pad_id
        fitting.fit_network(network, fold, None, pad_id, plan)
        self.tell(name)


def main() -> None:
    """Fit once, and print what every pass gives."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("row", choices=[*PROBLEMS, "sample"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--encoder", help="folder or Hugging Face id instead of the packaged one")
    parser.add_argument("--gentle", action="store_true")
    arguments = parser.parse_args()
    build = sample if arguments.row == "sample" else PROBLEMS[arguments.row]
    problem = build(OUT / "files" / arguments.row / str(arguments.seed), arguments.seed)
    changes = {name: ast.literal_eval(value) for name, _, value in (c.partition("=") for c in arguments.set)}
    settings = dataclasses.replace(FitSettings(seed=arguments.seed, threads=arguments.threads), **changes)
    passes, fit = Passes(), Fit(problem, settings, arguments.encoder)
    fit.classifier.fit(*fit.part(fit.split.train), fit.part(fit.split.validation))
    assert fit.classifier.fit_result_ is not None
    network, history = fit.classifier._fitted_network(), fit.classifier.fit_result_.history
    states = passes.whole({name: value.clone() for name, value in network.state_dict().items()})
    for number, state in enumerate(states, 1):
        network.load_state_dict(state)
        fit.calibrate()
        fit.tell(f"pass {number}, validation {history[number - 1]['validation_f1']:.4f}")
    if len(states) > 1:
        both = {n: (states[-1][n].float() + states[-2][n].float()) / 2 for n in states[-1]}
        network.load_state_dict(both)
        fit.calibrate()
        fit.tell("mean of the weights of the last two")
    if arguments.gentle:
        best = states[int(np.argmax([one["validation_f1"] for one in history]))]
        network.load_state_dict(best)
        fit.calibrate()
        fit.gently(best, "then gently over both parts", fit.split.train, fit.split.validation)
        for times in (0, 1, 3):
            drawn = np.random.default_rng(0).permutation(fit.split.train)
            others = drawn[: times * len(fit.split.validation)]
            name = f"then gently over the validation part and {times} times as many others"
            fit.gently(best, name, fit.split.validation, others)


if __name__ == "__main__":
    main()

"""What other ways to fit would give, each measured on the splits of `quality.py`.

Run: ``python benchmarks/fit_variants.py fabsa --variants base rdrop --seeds 0 1``; ``--list`` names them all,
``--table`` prints what is kept. Each variant changes one thing of `model.fitting`; calibration and
operating points come from the validation part as in the product. Results are kept in
``benchmarks/results/variants`` and not measured again. Hypothesis: none pays for its complexity unless
``docs/quality.md`` says that it was kept.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import protocols
import torch
from measurement import Prediction, Problem, figures_of, read_problem
from measuring_sets import ROOT
from variant_steps import STEPS

from data.settings import Settings
from model import fitting
from model.classifier import ReasonCodeClassifier
from model.decision import decide
from model.definitions import code_texts
from model.encoder import resolve_encoder
from model.fit_settings import FitSettings
from model.fitting import fit_network
from model.prediction import predict_network
from model.starter import find_starter
from training.split import pick, split_by_text

OUT = ROOT / "benchmarks" / "out" / "variants"
KEPT = ROOT / "benchmarks" / "results" / "variants"
PROBLEMS: dict[str, Callable[[Path, int], Problem]] = {
    "fabsa": lambda folder, seed: read_problem(protocols.grouped(folder, "fabsa")),
    "nhs_fft": lambda folder, seed: read_problem(protocols.grouped(folder, "nhs_fft")),
    "banking77": lambda folder, seed: read_problem(protocols.banking(folder), single=True),
    "banking77_10": lambda folder, seed: read_problem(
        protocols.banking(folder, protocols.SHOTS, seed), single=True
    ),
}


@dataclass(frozen=True)
class Finish:
    """What goes on from a fit on more annotations, with the fit's calibration and operating points.

    Attributes
    ----------
    epochs, share
        Passes, and the share of the fit's learning rates.
    whole
        Whether the comments of the product's test part are among them, besides the validation part's.
    """

    epochs: int
    share: float
    whole: bool = False


@dataclass(frozen=True)
class Variant:
    """A way to fit.

    Attributes
    ----------
    about
        What is other than in the product.
    settings
        Changes of `FitSettings`.
    step
        Name of another step, of `variant_steps.STEPS`.
    finish
        What is done when the product's own fit is over.
    again
        Whether a second fit on all annotations follows.
    fits
        Fits whose weights are averaged.
    """

    about: str
    settings: dict[str, Any] = field(default_factory=dict)
    step: str = ""
    finish: Finish | None = None
    again: bool = False
    fits: int = 1


_ANY_SIZE = {"consistency_from": 0}
_ONCE = {"consistency": 0.0, "contrast": 0.0}
_ALWAYS = {"contrast": 0.2, "contrast_below": 10**9}
_CONTRAST = _ONCE | _ALWAYS
VARIANTS = {
    "product": Variant("the product's fit of one part of the annotations"),
    "finish-1-3": Variant("and 1 epoch on fitted and validation part", finish=Finish(1, 1 / 3)),
    "finish-2-3": Variant("and 2 such epochs", finish=Finish(2, 1 / 3)),
    "thrice": Variant("two readings of a comment agree, weight 3", {"consistency": 3.0, **_ANY_SIZE}),
    "longer": Variant("6 epochs", {"epochs": 6, "patience": 6}),
    "soup": Variant("mean of the weights of three fits (Wortsman et al. 2022)", fits=3),
    "twice": Variant("two readings agree, without contrast", {"contrast": 0.0, **_ANY_SIZE}),
    "both": Variant("two readings agree, with contrast", _ALWAYS | _ANY_SIZE),
    "once": Variant("each comment is read once, without contrast; so all below", _ONCE),
    "once-finish": Variant("and 1 epoch on fitted and validation part", _ONCE, finish=Finish(1, 1 / 3)),
    "once-finish-all": Variant("and 1 epoch on all annotations", _ONCE, finish=Finish(1, 1 / 3, True)),
    "once-again": Variant("and a second fit, on all annotations", _ONCE, again=True),
    "fgm": Variant("adversarial word embeddings (Miyato et al. 2017), length 0.5", _ONCE, step="fgm"),
    "asymmetric": Variant("asymmetric loss (Ridnik et al. 2021), 0 and 2", _ONCE, step="asymmetric"),
    "focal": Variant("focal loss (Lin et al. 2017), exponent 1", _ONCE, step="focal"),
    "focal-twice": Variant("focal loss, and two readings agree", {"contrast": 0.0, **_ANY_SIZE}, "focal"),
    "balanced": Variant("positives of rare pairs weigh more, power 0.25", _ONCE, "balanced"),
    "layers": Variant("each layer learns at 0.8 of the rate of the one above", _ONCE, step="layers"),
    "adapted": Variant("first three passes of guessing hidden words", _ONCE, step="adapted"),
    "slower": Variant("half the encoder's rate", _ONCE | {"encoder_rate": 5e-5}),
    "contrast": Variant("contrast between comments (Khosla et al. 2020), weight 0.2", _CONTRAST),
    "contrast-half": Variant("the same, weight 0.5", _CONTRAST | {"contrast": 0.5}),
    "contrast-whole": Variant("the same, weight 1", _CONTRAST | {"contrast": 1.0}),
}


def run(problem: Problem, variant: Variant, seed: int, threads: int, kept: Path) -> dict[str, Any]:
    """Fit one variant and give its figures; a fit that others go on from is kept in a folder."""
    codes = problem.taxonomy.active
    texts = [code_texts(problem.taxonomy[code]) for code in codes]
    starter = find_starter(resolve_encoder(None).sha256, Settings().home)
    plan = dataclasses.replace(FitSettings(seed=seed, threads=threads), **variant.settings)
    split = split_by_text(problem.train.comments)
    place = kept / f"{'twice' if plan.consistency else 'once'}-{plan.epochs}"

    def part(*rows: Any) -> tuple[list[str], list[Any]]:
        chosen = np.concatenate(rows)
        return pick(problem.train.comments, chosen), pick(problem.train.targets, chosen)

    def fitted(plan: FitSettings, step: str) -> ReasonCodeClassifier:
        classifier = ReasonCodeClassifier(codes, None, plan, 256, texts, starter)
        with STEPS[step](fitting):
            return classifier.fit(*part(split.train), part(split.validation))

    if variant.finish is None and not variant.again:
        classifier = fitted(plan, variant.step)
    elif (place / "model.safetensors").is_file():
        classifier = ReasonCodeClassifier.load(place)
        torch.set_num_threads(threads)
    else:
        classifier = fitted(plan, "")
        classifier.save(place)
    network = classifier._fitted_network()
    if variant.finish is not None:
        more = variant.finish
        rates = {"encoder_rate": plan.encoder_rate * more.share, "head_rate": plan.head_rate * more.share}
        finish = dataclasses.replace(plan, epochs=more.epochs, least_steps=0, seed=seed + 100, **rates)
        rows = (split.train, split.validation, *([split.test] if more.whole else []))
        with STEPS[variant.step](fitting):
            fit_network(network, classifier._fold(*part(*rows)), None, 0, finish)
    if variant.again:
        fresh = ReasonCodeClassifier(codes, None, plan, 256, texts, starter)
        fresh.description_ = classifier.description_
        classifier = fresh.fit_again(problem.train.comments, problem.train.targets)
    if variant.fits > 1:
        others = [
            fitted(dataclasses.replace(plan, seed=seed + 10 * more), "") for more in range(1, variant.fits)
        ]
        states = [one._fitted_network().state_dict() for one in (classifier, *others)]
        mean = {name: torch.stack([state[name].float() for state in states]).mean(0) for name in states[0]}
        network.load_state_dict(mean)
    return figures(classifier, problem)


def figures(classifier: ReasonCodeClassifier, problem: Problem) -> dict[str, Any]:
    """Give the figures of a classifier on the held-out part."""
    network, description = classifier._fitted_network(), classifier.description_
    assert description is not None
    tokens = classifier.tokenize(problem.held.comments)
    probabilities = description.calibrate(predict_network(network, tokens, 0)[0])
    chosen = decide(probabilities, description.threshold_array())
    every = figures_of(problem, Prediction(probabilities, chosen))
    kept = ("pair_micro_f1", "pair_macro_f1", "code_micro_f1", "code_macro_f1", "accuracy")
    return {name: every[name] for name in kept if name in every}


def main() -> None:
    """Measure what is not kept yet, and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="+", choices=PROBLEMS)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--table", action="store_true", help="print what is kept and measure nothing")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(f"{name:<12} {variant.about}" for name, variant in VARIANTS.items()))
        return
    for row in arguments.rows:
        for name in arguments.variants:
            for seed in arguments.seeds:
                place = KEPT / row / f"{name}-{seed}.json"
                result = json.loads(place.read_text(encoding="utf-8")) if place.is_file() else {}
                if arguments.table and not result:
                    continue
                # What was measured when the product made other passes is measured anew.
                stale = not result or result.get("epochs", 4) != FitSettings().epochs
                if stale and not arguments.table:
                    problem = PROBLEMS[row](OUT / "files" / row / str(seed), seed)
                    began = time.perf_counter()
                    kept = OUT / "models" / f"{row}-{seed}"
                    result = run(problem, VARIANTS[name], seed, arguments.threads, kept)
                    result["seconds"] = round(time.perf_counter() - began)
                    result["epochs"] = FitSettings().epochs
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
                shown = ", ".join(f"{k} {v:.4f}" for k, v in result.items() if isinstance(v, float))
                print(f"{row} {name} seed {seed}: {shown}, {result['seconds']} s", flush=True)


if __name__ == "__main__":
    main()

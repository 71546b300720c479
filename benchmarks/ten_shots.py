"""What few examples give under one encoder, in several ways: BANKING77 with ten queries of each intent.

Run: ``python benchmarks/ten_shots.py``. Fits once as the product's second fit does, on what the product's
training may use, and compares its accuracy with logistic regressions on the sentence embeddings of the
encoder as it comes, on the mean states of the fine-tuned encoder, and with sums of both. Hypothesis:
fine-tuning ten queries of an intent gives more than the encoder as it comes.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import torch
from fit_passes import Fit
from fit_variants import OUT, PROBLEMS
from linear_peers import embed
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from model.classifier import ReasonCodeClassifier
from model.fit_settings import FitSettings
from model.tokens import length_batches, pad

STRENGTHS = (1.0, 10.0, 100.0)


def mean_states(classifier: ReasonCodeClassifier, comments: Sequence[str]) -> NDArray[np.float32]:
    """Give the mean token states of comments, of length 1, shape (n, width)."""
    network, tokens = classifier._fitted_network(), classifier.tokenize(comments)
    found = np.zeros((len(tokens), network.backbone.config.hidden_size), np.float32)
    with torch.inference_mode():
        for batch in length_batches(np.array([len(one.ids) for one in tokens]), 4096):
            ids, mask = map(torch.from_numpy, pad([tokens[i] for i in batch], 0))
            states = network.backbone(input_ids=ids, attention_mask=mask).last_hidden_state
            mean = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            found[batch] = torch.nn.functional.normalize(mean, dim=-1).numpy()
    return found


def main() -> None:
    """Fit, and print the accuracies."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--encoder-rate", type=float, default=FitSettings().encoder_rate)
    arguments = parser.parse_args()
    problem = PROBLEMS["banking77_10"](OUT / "files" / "ten" / str(arguments.seed), arguments.seed)
    plan = FitSettings(seed=arguments.seed, threads=arguments.threads, encoder_rate=arguments.encoder_rate)
    fit = Fit(problem, plan)
    rows = np.concatenate([fit.split.train, fit.split.validation])
    intents, truth = (part.present.any(-1).argmax(-1) for part in (problem.train, problem.held))

    def tell(name: str, scores: NDArray[np.floating]) -> None:
        print(f"{name}: {float((scores.argmax(axis=1) == truth).mean()):.4f}", flush=True)

    def regression(name: str, train: NDArray[np.float32], held: NDArray[np.float32]) -> None:
        for strength in STRENGTHS:
            for which, chosen in (("", rows), (", all queries", np.arange(len(intents)))):
                model = LogisticRegression(max_iter=2000, C=strength).fit(train[chosen], intents[chosen])
                scores = np.zeros((len(held), len(problem.labels.codes)))
                scores[:, model.classes_] = model.predict_proba(held)
                tell(f"{name}, C of {strength:.0f}{which}", scores)
                if strength == 10.0 and not which:
                    found[name] = np.log(scores + 1e-9)

    found: dict[str, NDArray[np.float64]] = {}
    frozen, tuned = "the encoder as it comes", "the fine-tuned encoder's mean states"
    regression(frozen, embed(problem.train.comments), embed(problem.held.comments))
    fit.classifier.fit(*fit.part(rows))
    own = np.log(fit.classifier.predict_proba(problem.held.comments).max(axis=-1) + 1e-9)
    tell(f"the product's fit on {len(rows)} queries", own)
    regression(tuned, *(mean_states(fit.classifier, p.comments) for p in (problem.train, problem.held)))
    for weight in (0.3, 1.0, 2.0):
        tell(f"the product and {weight} times {frozen}", own + weight * found[frozen])


if __name__ == "__main__":
    main()

"""Measures abstention: whether a model stays silent on what is unlike its comments, and only there.

Run: ``python benchmarks/abstention.py --model FOLDER_OR_URI [--annotations TRAIN.jsonl] [--output
FILE.json]``, with a model of FABSA (``benchmarks/quality.py`` trains one). Of held-out FABSA comments,
which the model was not fitted on, about 0.5% and at most 1% should abstain. Beside them: French responses,
keyboard mashing and random letters, Python source, technical English, and feedback and queries from other
fields in ordinary words. For each the area under the ROC curve against held-out comments and the share that
abstains. Three baselines: what the likeliest pair lacks to 1 (Hendrycks and Gimpel 2017, "A baseline for
detecting misclassified and out-of-distribution examples"), the share of word pieces that the training
comments hold fewer than 3 times, and with ``--annotations`` the Mahalanobis distance of the mean token
state from 2,000 training comments (Lee et al. 2018, "A simple unified framework for detecting
out-of-distribution samples and adversarial attacks"). Hypothesis: surprise does as well as the distance on
what is written otherwise, and costs nothing.

A model that was trained before models kept their training comments' words gets them from ``--annotations``.
"""

from __future__ import annotations

import argparse
import inspect
import json
import random
import statistics
import string
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np
from measuring_sets import DATA, load, load_banking, read_csv
from numpy.typing import NDArray
from scipy.stats import rankdata

from data.annotations import read_annotations
from data.settings import Settings
from data.text import text_hash
from model.abstention import abstains
from model.comment_tagger import CommentTagger
from model.novelty import Novelty, fit_novelty
from model.registry import find_model
from model.tokens import length_batches, pad
from training.release import read_seen

Floats = NDArray[np.float64]
HELD = "FABSA, held out"
_HELD, _STRANGE, _STATES = 1000, 300, 2000
_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def comment_sets(rng: random.Random, seen: set[str]) -> dict[str, list[str]]:
    """Give the comments to tell apart; those of the model's own kind first."""
    fresh = [row.comment for row in load("fabsa").annotations if text_hash(row.comment)[:16] not in seen]
    french = [row["explication"] for row in read_csv(DATA / "botanic_nps_fr" / "responses.csv")]
    airline = [row["Review"].split("|")[-1] for row in read_csv(DATA / "airline_reviews" / "reviews.csv")]
    health = [row.comment for row in load("nhs_fft").annotations]
    bank = [row.comment for row in load_banking()[1].annotations]
    manual = [part.strip() for topic in topics.values() for part in " ".join(topic.split()).split(". ")]
    lines = [
        line.strip() for m in (argparse, statistics, textwrap) for line in inspect.getsource(m).split("\n")
    ]
    return {
        HELD: rng.sample(fresh, min(len(fresh), _HELD)),
        "French": rng.sample([text for text in french if text.strip() not in ("", "NA")], _STRANGE),
        "gibberish": [_gibberish(rng) for _ in range(_STRANGE)],
        "Python source": rng.sample([line for line in lines if len(line) > 25], _STRANGE),
        "Python's manual": rng.sample([part for part in manual if 40 < len(part) < 250], _STRANGE),
        "airline reviews": [
            ". ".join(text.strip().split(". ")[:2]) for text in rng.sample(airline, _STRANGE)
        ],
        "health feedback": rng.sample(health, _STRANGE),
        "bank queries": rng.sample(bank, _STRANGE),
    }


def _gibberish(rng: random.Random) -> str:
    letters = rng.choice([*_KEYS, string.ascii_lowercase])
    words = [
        "".join(rng.choice(letters) for _ in range(rng.randint(2, 12))) for _ in range(rng.randint(1, 10))
    ]
    return " ".join(words)


def area(ordinary: Floats, strange: Floats) -> float:
    """Give the chance that a strange comment scores above an ordinary one."""
    ranks = rankdata(np.concatenate([ordinary, strange]))[len(ordinary) :]
    pairs = len(ordinary) * len(strange)
    return float((ranks.sum() - len(strange) * (len(strange) + 1) / 2) / pairs)


def rare_share(tagger: CommentTagger, novelty: Novelty, comments: Sequence[str]) -> Floats:
    """Give the share of word pieces that stood in the training comments fewer than 3 times."""
    counts = np.zeros(novelty.vocabulary)
    counts[novelty.ids] = novelty.counts
    own = [one.ids[[end > start for start, end in one.offsets]] for one in tagger.tokenize(comments)]
    return np.array([float((counts[ids] < 3).mean()) if len(ids) else 0.0 for ids in own])


def mean_states(folder: Path, tagger: CommentTagger, comments: Sequence[str]) -> Floats:
    """Give the mean token state of each comment, shape (n, width), from the model's own encoder."""
    import torch
    from safetensors.torch import load_file

    from model.classifier import ENCODER_FOLDER, WEIGHTS
    from model.encoder import load_backbone

    backbone = load_backbone(folder / ENCODER_FOLDER, pretrained=False).eval()
    prefix = "backbone."
    state = load_file(str(folder / WEIGHTS)).items()
    backbone.load_state_dict({name.removeprefix(prefix): x for name, x in state if name.startswith(prefix)})
    tokens = tagger.tokenize(comments)
    means = np.zeros((len(comments), tagger.description.width))
    with torch.inference_mode():
        for batch in length_batches(np.array([len(one.ids) for one in tokens]), 2048, 64):
            ids, mask = map(torch.from_numpy, pad([tokens[i] for i in batch], tagger.description.pad_id))
            states = backbone(input_ids=ids, attention_mask=mask).last_hidden_state * mask[..., None]
            means[batch] = (states.sum(1) / mask.sum(1, keepdim=True)).numpy()
    return means


def distance_from(training: Floats, shrinkage: float = 0.01) -> Callable[[Floats], Floats]:
    """Give the squared Mahalanobis distance from some states, their covariance drawn towards a sphere."""
    centre, spread = training.mean(axis=0), np.cov(training.T)
    sphere = np.eye(len(spread)) * np.trace(spread) / len(spread)
    precision = np.linalg.inv((1 - shrinkage) * spread + shrinkage * sphere)
    return lambda states: np.einsum("ni,ij,nj->n", states - centre, precision, states - centre)


def measure(
    tagger: CommentTagger, novelty: Novelty, folder: Path, train: Sequence[str], rng: random.Random
) -> dict[str, Any]:
    """Score every set in every way."""
    sets = comment_sets(rng, read_seen(folder))
    ways: dict[str, Callable[[list[str]], Floats]] = {
        "surprise": lambda comments: novelty.surprise(tagger.tokenize(comments)),
        "1 - likeliest pair": lambda comments: 1.0 - tagger.probabilities(comments).max(axis=(1, 2)),
        "rare word pieces": lambda comments: rare_share(tagger, novelty, comments),
    }
    if train:
        sample = rng.sample(list(train), min(len(train), _STATES))
        distance = distance_from(mean_states(folder, tagger, sample))
        ways["Mahalanobis distance"] = lambda comments: distance(mean_states(folder, tagger, comments))
    scores = {way: {name: score(comments) for name, comments in sets.items()} for way, score in ways.items()}
    silent = {
        name: float(abstains(comments, tagger.tokenize(comments), novelty).mean())
        for name, comments in sets.items()
    }
    strange = [name for name in sets if name != HELD]
    return {
        "comments": {name: len(comments) for name, comments in sets.items()},
        "threshold": novelty.threshold,
        "abstained": silent,
        "auroc": {way: {name: area(of[HELD], of[name]) for name in strange} for way, of in scores.items()},
        "above 99% of held-out comments": {
            way: {name: float((of[name] > np.quantile(of[HELD], 0.99)).mean()) for name in strange}
            for way, of in scores.items()
        },
    }


def main() -> None:
    """Measure one model."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--annotations", type=Path, help="what the model was trained on")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    settings = Settings()
    folder = find_model(options.model, settings).folder
    tagger, seen = CommentTagger.load(folder, settings.threads), read_seen(folder)
    train: list[str] = []
    if options.annotations is not None:
        rows = read_annotations(options.annotations, tagger.taxonomy)
        train = [row.comment for row in rows if text_hash(row.comment)[:16] in seen]
    novelty = tagger.novelty
    if novelty is None:
        novelty = fit_novelty(tagger.tokenize(train), tagger.tokenizer.get_vocab_size())
    if novelty is None:
        raise SystemExit("the model does not know its training comments; name them with --annotations")
    found = measure(tagger, novelty, folder, train, random.Random(options.seed))
    text = json.dumps(found, indent=2)
    print(text)
    if options.output is not None:
        options.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Trains SetFit (Tunstall et al. 2022) on what a JSON file holds and writes its probabilities to another.

Needs setfit and what it brings, and nothing of this project, so that it can run in an environment of its
own: ``python setfit_worker.py TASK.json RESULT.json``. Task: ``encoder`` (a folder), ``texts`` (training),
``labels`` (for each a list of 0 and 1, or a class number), ``read`` (lists of texts to read), ``embed``
(texts to embed with the encoder that came of it), ``pairs``, ``seed``. Result: ``probabilities`` for each
list of `read`, ``embeddings`` of length 1 for each of `embed`, ``classes`` and ``versions``.
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

BATCH = 16


def fit_and_read(task: dict[str, Any]) -> dict[str, Any]:
    """Fine-tune the encoder on pairs of comments, then fit a logistic regression on its embeddings."""
    warnings.filterwarnings("ignore")
    from datasets import Dataset  # type: ignore[import-not-found]  # of an environment of its own
    from setfit import SetFitModel, Trainer, TrainingArguments  # type: ignore[import-not-found]
    from transformers.utils import logging

    logging.disable_progress_bar()
    several = isinstance(task["labels"][0], list)
    strategy = {"multi_target_strategy": "one-vs-rest"} if several else {}
    model = SetFitModel.from_pretrained(task["encoder"], device="cpu", **strategy)
    rows = Dataset.from_dict({"text": task["texts"], "label": task["labels"]})
    with tempfile.TemporaryDirectory(prefix="setfit-") as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            batch_size=BATCH,
            num_epochs=1,
            max_steps=max(1, task["pairs"] // BATCH),
            seed=task["seed"],
            report_to="none",
            save_strategy="no",
            show_progress_bar=False,
        )
        Trainer(model=model, args=arguments, train_dataset=rows).train()
    probabilities = [model.predict_proba(texts, as_numpy=True).tolist() for texts in task["read"]]
    embeddings = model.model_body.encode(task["embed"], normalize_embeddings=True) if task["embed"] else []
    classes = [] if several else [int(one) for one in model.model_head.classes_]
    return {
        "probabilities": probabilities,
        "embeddings": [one.tolist() for one in embeddings],
        "classes": classes,
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("setfit", "sentence-transformers", "transformers", "torch")}


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:3])
    target.write_text(
        json.dumps(fit_and_read(json.loads(source.read_text(encoding="utf-8")))), encoding="utf-8"
    )

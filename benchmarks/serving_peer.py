"""The peer that most people would write: transformers and torch behind plain FastAPI, with the same weights.

Run by `serving.py`; by hand: ``python benchmarks/serving_peer.py FOLDER --port 8001``.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel

from model.classifier import ReasonCodeClassifier

BATCH = 32
"""As sentence-transformers' `encode` has it, which also sorts by length."""


class Item(BaseModel):
    """A comment."""

    comment: str


class Items(BaseModel):
    """A request."""

    responses: list[Item]


class TorchPeer:
    """The fine-tuned encoder and head in torch float32, batched as sentence-transformers does."""

    def __init__(self, folder: Path, threads: int) -> None:
        from transformers import PreTrainedTokenizerFast

        torch.set_num_threads(threads)
        self.classifier = ReasonCodeClassifier.load(folder)
        description = self.classifier.description_
        assert description is not None
        assert self.classifier.network_ is not None
        self.description, self.network = description, self.classifier.network_
        self.tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
        self.tokenizer.pad_token = self.tokenizer.convert_ids_to_tokens(description.pad_id)

    def through_pipeline(self, comments: list[str], batch: int) -> NDArray[np.float32]:
        """Give the same by transformers' own pipeline, `batch` comments at a time in the order they come."""
        from transformers import pipeline

        reader = pipeline("feature-extraction", model=self.network.backbone, tokenizer=self.tokenizer)
        texts = [self.description.prefix + comment for comment in comments]
        cut = {"truncation": True, "max_length": self.description.max_tokens}
        lengths = [len(ids) for ids in self.tokenizer(texts, **cut)["input_ids"]]
        scores = []
        with torch.inference_mode():
            found = reader(texts, batch_size=batch, return_tensors=True, tokenize_kwargs=cut)
            for states, length in zip(found, lengths, strict=True):
                mask = torch.ones(1, length, dtype=torch.long)
                scores.append(torch.sigmoid(self.network.score(states[:, :length], mask)[0]))
        return self.description.calibrate(torch.cat(scores).numpy())

    def probabilities(self, comments: list[str]) -> NDArray[np.float32]:
        """Give calibrated probabilities, shape (n, n_codes, n_polarities)."""
        order = np.argsort([-len(comment) for comment in comments], kind="stable")
        found: NDArray[np.float32] | None = None
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            inputs = self.tokenizer(
                [self.description.prefix + comments[row] for row in rows],
                padding=True,
                truncation=True,
                max_length=self.description.max_tokens,
                return_tensors="pt",
                return_token_type_ids=False,
            )
            with torch.inference_mode():
                states = self.network.backbone(**inputs).last_hidden_state
                scores = torch.sigmoid(self.network.score(states, inputs["attention_mask"])[0]).numpy()
            if found is None:
                found = np.zeros((len(comments), *scores.shape[1:]), np.float32)
            found[rows] = scores
        assert found is not None
        return self.description.calibrate(found)


def application(peer: TorchPeer) -> Any:
    """Give the FastAPI application: one handler in the thread pool, as its manual shows."""
    from fastapi import FastAPI

    from data.annotations import POLARITIES
    from model.decision import decide

    app = FastAPI()
    thresholds = peer.description.threshold_array()

    @app.get("/ready")
    def ready() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/tag")
    def tag(items: Items) -> dict[str, Any]:
        probabilities = peer.probabilities([item.comment for item in items.responses])
        chosen = decide(probabilities, thresholds)
        rows: list[list[dict[str, Any]]] = [[] for _ in items.responses]
        for row, code, polarity in np.argwhere(chosen):
            rows[row].append(
                {
                    "code": peer.description.codes[code],
                    "polarity": POLARITIES[polarity],
                    "probability": float(probabilities[row, code, polarity]),
                }
            )
        return {"responses": rows}

    return app


def main() -> None:
    """Serve."""
    import uvicorn

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    uvicorn.run(
        application(TorchPeer(arguments.folder, arguments.threads)),
        port=arguments.port,
        log_level="warning",
        access_log=False,
    )


if __name__ == "__main__":
    main()

"""Comments a second in one process, and the machine's own matrix products to hold them against.

Run by `serving.py`, each part in a process of its own; prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from data.errors import ModelError
from model.comment_tagger import CommentTagger
from model.description import read_description
from model.encoder import load_tokenizer
from model.engine_choice import sample_texts
from model.engine_record import open_engine
from model.tokens import tokenize


def best_seconds(work: Callable[[], Any], rounds: int) -> float:
    """Give the least seconds of some rounds, after one that warms up."""
    work()
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return min(found)


def texts(count: int) -> list[str]:
    """Give distinct comments of the shipped sample."""
    return list(dict.fromkeys(sample_texts(10**6)))[:count]


def product(folder: Path, home: Path, threads: int, count: int, rounds: int, engine: str) -> dict[str, Any]:
    """Measure the product from texts to tags, and its engine alone."""
    tagger = CommentTagger.load(folder, threads, engine, home)  # type: ignore[arg-type]  # checked by the parser
    comments = texts(count)
    tokens = tagger.tokenize(comments)
    reading = best_seconds(lambda: tagger.engine.read(tokens), rounds)
    whole = best_seconds(lambda: tagger.tag(comments), rounds)
    flops = network_flops(folder, [len(one.ids) for one in tokens])
    return {
        "engine": tagger.engine_name,
        "comments": len(comments),
        "tokens_per_comment": float(np.mean([len(one.ids) for one in tokens])),
        "comments_per_second": len(comments) / whole,
        "engine_comments_per_second": len(comments) / reading,
        "engine_gflops": flops / reading / 1e9,
    }


def engines(folder: Path, threads: int, count: int, rounds: int, streams: int | None) -> dict[str, Any]:
    """Measure every engine alone; one that an older model has no file for is left out."""
    description = read_description(folder)
    tokenizer = load_tokenizer(folder, description.max_tokens)
    tokens = tokenize(tokenizer, texts(count), description.prefix)
    found: dict[str, Any] = {}
    for name in ("onnx", "onnx-int8", "openvino", "openvino-bf16", "openvino-int8"):
        try:
            engine = open_engine(name, folder, description.pad_id, threads, streams)  # type: ignore[arg-type]
        except ModelError:
            continue
        found[name] = len(tokens) / best_seconds(lambda one=engine: one.read(tokens), rounds)
    return found


def peer(folder: Path, threads: int, count: int, rounds: int) -> dict[str, Any]:
    """Measure transformers and torch from texts to probabilities: sorted by length, and by its pipeline."""
    from serving_peer import TorchPeer

    one, comments = TorchPeer(folder, threads), texts(count)
    product_side = CommentTagger.load(folder, threads).probabilities(comments[:32])
    difference = float(np.abs(one.probabilities(comments[:32]) - product_side).max())
    ways = {
        "comments_per_second": lambda: one.probabilities(comments),
        "pipeline_per_second": lambda: one.through_pipeline(comments, 1),
        "pipeline_batched_per_second": lambda: one.through_pipeline(comments, 32),
    }
    rates = {name: len(comments) / best_seconds(way, rounds) for name, way in ways.items()}
    return {"difference": difference} | rates


def network_flops(folder: Path, lengths: list[int]) -> float:
    """Give the floating point operations of the encoder's products for comments of these lengths.

    Two for each weight and token, and those of attention; without padding, and without what is cheap.
    """
    config = json.loads((folder / "encoder" / "config.json").read_text(encoding="utf-8"))
    width, layers = config["hidden_size"], config["num_hidden_layers"]
    inner = config.get("intermediate_size", 4 * width)
    length = np.array(lengths, np.float64)
    weights = layers * (4 * width * width + 2 * width * inner)
    return float((2 * weights * length + layers * 4 * width * length**2).sum())


def matrix_products(threads: int, rounds: int) -> dict[str, float]:
    """Give the machine's GFLOP/s of matrix products as large as the encoder's, through OpenVINO."""
    import openvino
    from openvino import opset13 as ops

    rows, inner, outer, layers = 2048, 1536, 1536, 8
    found = {}
    rng = np.random.default_rng(0)
    for precision in ("f32", "bf16"):
        inputs = ops.parameter([rows, inner], np.float32)
        node = inputs
        for _ in range(layers):
            weight = ops.constant((rng.standard_normal((inner, outer)) / inner**0.5).astype(np.float32))
            node = ops.matmul(node, weight, False, False)
        settings = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
        }
        network = openvino.Core().compile_model(openvino.Model([node], [inputs]), "CPU", settings)
        request = network.create_infer_request()
        values = rng.standard_normal((rows, inner)).astype(np.float32)
        seconds = best_seconds(lambda r=request, v=values: r.infer([v], share_inputs=True), 3 * rounds)
        found[precision] = 2 * rows * inner * outer * layers / seconds / 1e9
    return found


def main() -> None:
    """Measure one part and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["product", "engines", "peer", "gemm"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--home", type=Path, default=None)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--streams", type=int, help="default: as when serving")
    parser.add_argument("--engine", default="auto")
    a = parser.parse_args()
    if a.part == "product":
        found = product(a.folder, a.home, a.threads, a.count, a.rounds, a.engine)
    elif a.part == "engines":
        found = engines(a.folder, a.threads, a.count, a.rounds, a.streams)
    elif a.part == "peer":
        found = peer(a.folder, a.threads, a.count, a.rounds)
    else:
        found = matrix_products(a.threads, a.rounds)
    print("\n" + json.dumps(found))


if __name__ == "__main__":
    main()

"""infinity as a peer: the same fine-tuned encoder behind the embedding server that many would take.

It lives in an environment of its own, since it wants older releases than the product has::

    python -m venv infinity-env
    infinity-env/bin/pip install "infinity-emb[server,torch]==0.0.77" "torch==2.13.0" "click<8.2"

and is named to the benchmark: ``python benchmarks/serving.py --infinity-python infinity-env/bin/python``.

Label-wise attention is not among the heads that infinity serves. So it gives the mean of the token states of
a comment, and neither scores, tags nor evidence: it does less than the product does, which favours it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file, save_file
from serving_load import Server

from model.description import read_description

SERVED_NAME = "encoder"
_BACKBONE = "backbone."
_SPECIAL = ("unk_token", "cls_token", "sep_token", "mask_token")
_USUAL = {
    "unk_token": ("[UNK]", "<unk>"),
    "cls_token": ("[CLS]", "<s>"),
    "sep_token": ("[SEP]", "</s>"),
    "mask_token": ("[MASK]", "<mask>"),
}


def export_encoder(folder: Path, target: Path) -> Path:
    """Write the fine-tuned encoder of a model folder as sentence-transformers reads it: mean of all tokens.

    Parameters
    ----------
    folder
        A model folder.
    target
        A folder that is there; files in it are replaced.

    Returns
    -------
    Path
        The target.
    """
    weights = {
        name.removeprefix(_BACKBONE): values
        for name, values in load_file(folder / "model.safetensors").items()
        if name.startswith(_BACKBONE)
    }
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "encoder" / "config.json").read_text(encoding="utf-8"))
    config["architectures"] = config.get("architectures") or ["Encoder"]  # infinity asks for its name
    description = read_description(folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    pooling = {"word_embedding_dimension": config["hidden_size"], "pooling_mode_mean_tokens": True}
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    files: dict[str, Any] = {
        "config.json": config,
        "tokenizer.json": tokenizer,
        "tokenizer_config.json": tokenizer_settings(tokenizer, description.pad_id, description.max_tokens),
        "modules.json": modules,
        "sentence_bert_config.json": {"max_seq_length": description.max_tokens, "do_lower_case": False},
        "1_Pooling/config.json": pooling,
    }
    (target / "1_Pooling").mkdir(exist_ok=True)
    for name, content in files.items():
        (target / name).write_text(json.dumps(content) + "\n", encoding="utf-8")
    return target


def tokenizer_settings(tokenizer: dict[str, Any], pad_id: int, max_tokens: int) -> dict[str, Any]:
    """Give what transformers wants to know of a tokenizer beside ``tokenizer.json``, which it is given."""
    added = {one["id"]: one["content"] for one in tokenizer.get("added_tokens", [])}
    settings: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_tokens,
        "model_input_names": ["input_ids", "attention_mask"],
        "pad_token": added[pad_id],
    }
    for kind in _SPECIAL:
        found = next((name for name in _USUAL[kind] if name in added.values()), None)
        if found is not None:
            settings[kind] = found
    return settings


def infinity_server(python: Path, folder: Path, threads: int) -> Server:
    """Give infinity's server of an exported encoder.

    Parameters
    ----------
    python
        Of the environment that infinity is installed in.
    folder
        As `export_encoder` made it.
    threads
        Of the products.
    """
    command = [str(python.parent / "infinity_emb"), "v2", "--model-id", str(folder)]
    command += ["--served-model-name", SERVED_NAME, "--engine", "torch", "--device", "cpu"]
    # BetterTransformer is gone from the releases that it could come from; the warm-up reads texts of 512
    # tokens for a minute, which would only be held against its cold start.
    command += ["--no-bettertransformer", "--no-model-warmup", "--log-level", "error", "--port", "{port}"]
    environment = {
        "PYTHONPATH": "",
        "OMP_NUM_THREADS": str(threads),
        "DO_NOT_TRACK": "1",
        "INFINITY_ANONYMOUS_USAGE_STATS": "0",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": os.environ.get("HF_HUB_OFFLINE", "1"),
    }
    return Server("infinity", command, "/health", "/embeddings", infinity_body, environment)


def infinity_body(comment: str) -> bytes:
    """Give the body that ``/embeddings`` takes; base64 is the cheapest answer that it knows."""
    return json.dumps({"model": SERVED_NAME, "input": [comment], "encoding_format": "base64"}).encode()

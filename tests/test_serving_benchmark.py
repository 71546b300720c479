"""What the serving benchmark gives to infinity: the fine-tuned encoder, its tokenizer, and its requests."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from model.description import ModelDescription

from tests import benchmark_modules  # isort: skip  # noqa: F401

from serving_infinity import (  # isort: skip
    export_encoder,
    infinity_body,
    infinity_server,
    tokenizer_settings,
)


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "model"
    (place / "encoder").mkdir(parents=True)
    weights = {"backbone.layer.weight": np.ones((2, 2), np.float32), "query": np.zeros(3, np.float32)}
    save_file(weights, place / "model.safetensors")
    (place / "encoder" / "config.json").write_text('{"hidden_size": 2, "model_type": "bert"}')
    added = [{"id": 0, "content": "[PAD]"}, {"id": 1, "content": "[CLS]"}, {"id": 2, "content": "[SEP]"}]
    (place / "tokenizer.json").write_text(json.dumps({"added_tokens": added}))
    ModelDescription(("a.b",), "e", "0", width=2, max_tokens=64, pad_id=0).write(place)
    return place


def test_only_the_encoder_is_exported(folder, tmp_path):
    target = tmp_path / "exported"
    target.mkdir()
    export_encoder(folder, target)
    assert set(load_file(target / "model.safetensors")) == {"layer.weight"}
    assert json.loads((target / "config.json").read_text())["architectures"]
    pooling = json.loads((target / "1_Pooling" / "config.json").read_text())
    assert pooling == {"word_embedding_dimension": 2, "pooling_mode_mean_tokens": True}
    assert json.loads((target / "sentence_bert_config.json").read_text())["max_seq_length"] == 64


def test_the_tokenizer_names_its_special_tokens():
    tokenizer = {"added_tokens": [{"id": 1, "content": "<pad>"}, {"id": 2, "content": "</s>"}]}
    found = tokenizer_settings(tokenizer, 1, 32)
    assert found["pad_token"] == "<pad>"
    assert found["sep_token"] == "</s>"
    assert "cls_token" not in found


def test_infinity_runs_in_its_own_environment_and_tells_nobody(tmp_path):
    server = infinity_server(Path("/there/bin/python"), tmp_path, 2)
    assert server.command[:4] == ["/there/bin/infinity_emb", "v2", "--model-id", str(tmp_path)]
    assert server.environment["PYTHONPATH"] == ""
    assert server.environment["OMP_NUM_THREADS"] == "2"
    assert server.environment["INFINITY_ANONYMOUS_USAGE_STATS"] == "0"
    assert json.loads(infinity_body("a b"))["input"] == ["a b"]

"""A model of two narrow layers, made in seconds from the shipped sample: its server starts at once.

What it says of a comment is worth little; how a server treats requests, kills and promotions does not
depend on that. ``python benchmarks/small_model.py HOME`` makes one as the champion of a home folder.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from itertools import islice
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from data.sample import sample_path
from data.settings import Settings

ANNOTATIONS = 400
WORDS = 1500
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def make_small_model(home: Path) -> Settings:
    """Train the small model and make it the champion of a home folder.

    Returns
    -------
    Settings
        Of that home folder.
    """
    from model.fitting import FitSettings
    from training.pipeline import train

    home.mkdir(parents=True, exist_ok=True)
    lines = list(islice(sample_path("annotations.jsonl").open(encoding="utf-8"), ANNOTATIONS))
    annotations = home / "annotations.jsonl"
    annotations.write_text("".join(lines), encoding="utf-8")
    encoder = make_encoder(home / "encoder", [json.loads(line)["comment"] for line in lines])
    settings = Settings(home=home, threads=1, max_tokens=64)
    fit = FitSettings(epochs=2, least_steps=0, batch_size=32, threads=1, precision="fp32")
    train(annotations, sample_path("taxonomy.yaml"), settings, encoder=str(encoder), fit=fit)
    return settings


def make_encoder(folder: Path, comments: list[str]) -> Path:
    """Write a random BERT of two layers, 32 wide, that knows the commonest words of some comments."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel

    splitter = pre_tokenizers.BertPreTokenizer()
    counts = Counter(word for comment in comments for word, _ in splitter.pre_tokenize_str(comment.lower()))
    words = [*SPECIAL, *sorted(word for word, _ in counts.most_common(WORDS))]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = splitter
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        pad_token_id=vocabulary["[PAD]"],
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder, safe_serialization=True)
    return folder


if __name__ == "__main__":
    make_small_model(Path(sys.argv[1]))

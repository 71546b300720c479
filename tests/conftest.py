"""Small models made on the spot: nothing is downloaded, nothing is slow."""

from __future__ import annotations

import json
import os
import shutil
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Which engine is quickest is measured once for each home, and tests have many.
os.environ.setdefault("WHYSCORE_ENGINE", "onnx")

import numpy as np
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from data.annotations import Annotation, CodeLabel, to_target
from data.settings import Settings
from data.taxonomy import parse_taxonomy
from tests.stores import KINDS, fresh_database

# A busy machine is slow; that is no fault of the code.
hypothesis_settings.register_profile("whyscore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("whyscore")

# A word decides code and polarity at once, so that a tiny random encoder can learn it in seconds.
WORDS = {
    ("billing.charge", "negative"): ["fee", "billed", "overcharged"],
    ("billing.charge", "positive"): ["refunded", "waived"],
    ("support.reach", "negative"): ["hold", "queue", "unanswered"],
    ("support.reach", "positive"): ["prompt", "instant"],
    ("product.quality", "negative"): ["broke", "snapped", "flimsy"],
    ("product.quality", "positive"): ["sturdy", "solid"],
}
FILLER = ["the", "my", "again", "today", "it", "was", "really", "so", "and", "then", "very", "thing", "awful"]
VOCABULARY = sorted({w for words in (*WORDS.values(), FILLER) for w in words})

TAXONOMY = """
name: tiny
version: 1
codes:
  - {id: billing.charge, label: Charge, definition: A charge}
  - {id: support.reach}
  - {id: product.quality}
"""


@pytest.fixture(scope="session")
def taxonomy():
    return parse_taxonomy(TAXONOMY)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory):
    """A two-layer BERT over a handful of words, as a folder."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("encoder")
    vocabulary = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, ".": 4, ",": 5}
    vocabulary |= {word: i + 6 for i, word in enumerate(VOCABULARY)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        pad_token_id=0,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder, safe_serialization=True)
    return folder


def write_comment(rng):
    """Make one comment that a keyword decides, with its labels: the tiny models can learn it."""
    parts, labels = [], []
    for code in sorted({code for code, _ in WORDS}):
        if rng.random() < 0.4:
            polarity = "positive" if rng.random() < 0.4 else "negative"
            parts.append(" ".join([*rng.choice(FILLER, 2), rng.choice(WORDS[code, polarity])]))
            labels.append(CodeLabel(code, polarity))
    parts.append(" ".join(rng.choice(FILLER, 4)))
    return ". ".join(parts), tuple(labels)


@pytest.fixture(scope="session")
def annotations():
    rng = np.random.default_rng(7)
    rows = [write_comment(rng) for _ in range(600)]
    return [Annotation(f"r{i}", comment, labels, 1) for i, (comment, labels) in enumerate(rows)]


@pytest.fixture(scope="session")
def targets(annotations, taxonomy):
    return [to_target(row, taxonomy) for row in annotations]


@pytest.fixture(scope="session")
def fit_settings():
    from model.fit_settings import FitSettings

    return FitSettings(
        epochs=12,
        least_steps=0,
        batch_size=32,
        encoder_rate=1e-3,
        head_rate=2.5e-3,
        consistency_from=0,
        threads=1,
        precision="fp32",
    )


@pytest.fixture(scope="session")
def classifier(tiny_encoder, annotations, targets, taxonomy, fit_settings):
    """A fitted classifier on the tiny encoder."""
    from model.classifier import ReasonCodeClassifier

    comments = [row.comment for row in annotations]
    fitted = ReasonCodeClassifier(taxonomy.active, str(tiny_encoder), fit_settings, max_tokens=64)
    return fitted.fit(comments[:450], targets[:450], (comments[450:550], targets[450:550]))


@pytest.fixture(scope="session")
def files(tmp_path_factory, annotations):
    """Taxonomy and annotations as files."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "taxonomy.yaml").write_text(TAXONOMY, encoding="utf-8")
    lines = [json.dumps(row.to_record()) for row in annotations]
    (folder / "annotations.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def trained_home(tmp_path_factory, files, tiny_encoder, fit_settings):
    """A home folder whose registry holds one version of the tiny model, the champion."""
    from training.pipeline import train

    settings = Settings(home=tmp_path_factory.mktemp("home"), threads=1, max_tokens=64)
    train(
        files / "annotations.jsonl",
        files / "taxonomy.yaml",
        settings,
        encoder=str(tiny_encoder),
        fit=fit_settings,
    )
    return settings


@pytest.fixture
def own_home(trained_home, tmp_path):
    """A copy of that home, whose registry a test may change."""
    home = tmp_path / "home"
    shutil.copytree(trained_home.home, home, ignore=shutil.ignore_patterns("unfinished"))
    return Settings(home=home, threads=1, max_tokens=64)


@pytest.fixture
def two_versions(own_home, tmp_path):
    """A home of its own whose registry has two versions of the tiny model; version 1 is the champion."""
    from model.registry import connect, find_model
    from model.versions import promote

    client = connect(own_home)
    first = client.get_model_version("reason-codes", "1")
    files = tmp_path / "version-2"
    shutil.copytree(find_model("models:/reason-codes/1", own_home).folder, files)
    client.create_model_version("reason-codes", files.as_uri(), run_id=first.run_id)
    promote(1, own_home)
    return own_home


@pytest.fixture
def client(url, tmp_path):
    """A client of an empty service of its own."""
    from tests.http_client import served

    with served(tmp_path, store_url=None if url.startswith("sqlite") else url) as client:
        yield client


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A client of a service that the tests of a file share and leave alone."""
    from tests.http_client import served

    with served(tmp_path_factory.mktemp("home")) as client:
        yield client


@pytest.fixture(scope="module", params=KINDS)
def filled(request, tmp_path_factory):
    """A client of a service whose store holds `tests.http_client.ROWS`."""
    from tests.http_client import ROWS, served, store_of

    place = tmp_path_factory.mktemp("filled")
    with fresh_database(request.param, place) as url, served(place / "home", store_url=url) as client:
        store_of(client).upsert(ROWS)
        yield client


@pytest.fixture(params=KINDS)
def url(request, tmp_path):
    """The URL of a fresh database, on each kind that is there."""
    with fresh_database(request.param, tmp_path) as url:
        yield url


@pytest.fixture
def store(url):
    from data.store import Store

    with Store.open(url) as store:
        yield store


@pytest.fixture(scope="module", params=KINDS)
def shared_store(request, tmp_path_factory):
    from data.store import Store

    with fresh_database(request.param, tmp_path_factory.mktemp("store")) as url, Store.open(url) as store:
        yield store


@pytest.fixture
def write(tmp_path):
    """Give a function that writes a file of that name and content."""

    def write_file(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


@pytest.fixture
def whyscore(monkeypatch, capsys, tmp_path):
    """Give a function that runs a command and gives (exit code, stdout, stderr)."""
    from whyscore.cli import main

    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("WHYSCORE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WHYSCORE_THREADS", "1")
    monkeypatch.chdir(tmp_path)

    def run(*arguments, home=None):
        if home is not None:
            monkeypatch.setenv("WHYSCORE_HOME", str(home))
        monkeypatch.setattr(sys, "argv", ["whyscore", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        return ended.value.code or 0, shown.out, shown.err

    return run

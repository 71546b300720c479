"""Encoders of several families by their folders: fitted, exported, and their evidence in its place."""

import dataclasses
import json
import re

import numpy as np
import pytest

from data.errors import ModelError
from model.batch_shapes import BatchShapes
from model.classifier import ReasonCodeClassifier
from model.comment_tagger import CommentTagger
from model.encoder import load_backbone, load_tokenizer, resolve_encoder, token_limit
from model.engine import OnnxEngine
from model.packed_rows import PackedRows
from model.prompts import comment_prefix
from model.tokens import tokenize
from tests.conftest import VOCABULARY
from tests.encoder_families import FAMILIES, bge, e5, make, modernbert, multilingual_e5, multilingual_minilm
from training.export import export_engines

PREFIXES = {bge: "", e5: "query: ", multilingual_minilm: "", multilingual_e5: "query: ", modernbert: ""}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("families")
    return {family: make(family, root, VOCABULARY) for family in FAMILIES}


@pytest.fixture(params=FAMILIES, ids=lambda family: family.__name__)
def family(request):
    return request.param


def test_the_prefix_is_known(folders, family):
    assert comment_prefix(resolve_encoder(str(folders[family]))) == PREFIXES[family]


@pytest.mark.parametrize(
    ("name", "content", "prefix"),
    [
        ("intfloat/e5-base-v2", {}, "query: "),
        ("intfloat/multilingual-e5-small", {"prompts": {"query": "Query: "}}, "Query: "),
        ("intfloat/multilingual-e5-large-instruct", {}, ""),
        ("made5-to-measure", {}, ""),
        ("some/embedder", {"prompts": {"Classification": "task: x | query: "}}, "task: x | query: "),
        ("some/embedder", {"prompts": {"a": "A: ", "b": "B: "}, "default_prompt_name": "b"}, "B: "),
        ("some/embedder", {"prompts": None, "default_prompt_name": None}, ""),
        ("some/embedder", [], ""),
    ],
)  # fmt: skip
def test_prefixes_by_name_and_prompts(folders, tmp_path, name, content, prefix):
    (tmp_path / "config_sentence_transformers.json").write_text(json.dumps(content), encoding="utf-8")
    source = dataclasses.replace(resolve_encoder(str(folders[bge])), name=name, folder=tmp_path)
    assert comment_prefix(source) == prefix


@pytest.mark.parametrize("prefix", ["", "query: "])
def test_offsets_are_those_of_the_comment(folders, family, prefix):
    """Every token of the comment has the same place in it, with a prefix and without one."""
    comment = "ü my fee. it was awful"
    tokenizer = load_tokenizer(folders[family], 64)
    (plain,), (told,) = (tokenize(tokenizer, [comment], p) for p in ("", prefix))
    found, expected = ({comment[a:b].strip() for a, b in one.offsets} - {""} for one in (told, plain))
    assert found == expected
    assert {"fee", "it", "was", "awful"} <= found
    assert len(told.ids) >= len(plain.ids)
    assert all(0 <= a <= b <= len(comment) for a, b in told.offsets)


def test_tokens_that_stand_for_no_text_are_never_found_in_one(folders, family):
    """A comment could else end itself, hide words, or shift the places of those behind."""
    comment = "my [CLS] fee <s> it [PAD] was <pad> awful [SEP] it </s> again"
    tokenizer = load_tokenizer(folders[family], 64)
    signs = [tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]", "[PAD]", "<s>", "</s>", "<pad>")]
    (found,) = tokenize(tokenizer, [comment])
    assert not set(found.ids[1:-1]) & set(signs)
    assert {found.ids[0], found.ids[-1]} <= set(signs)
    assert {"fee", "it", "was", "awful", "again"} <= {comment[a:b].strip() for a, b in found.offsets}


def test_no_more_tokens_than_positions(folders, family):
    backbone = load_backbone(folders[family], pretrained=True)
    assert token_limit(backbone, 512) == 64
    assert token_limit(backbone, 32) == 32


@pytest.mark.slow
def test_it_is_fitted_saved_and_exported(
    folders, family, annotations, targets, taxonomy, fit_settings, tmp_path
):
    settings = dataclasses.replace(fit_settings, epochs=1)
    comments = [row.comment for row in annotations[:160]]
    long = " ".join(["overcharged"] * 80)
    fitted = ReasonCodeClassifier(taxonomy.active, str(folders[family]), settings, max_tokens=64)
    fitted.fit(comments[:128], targets[:128], (comments[128:], targets[128:160]))
    assert fitted.description_.prefix == PREFIXES[family]
    fitted.save(tmp_path)
    (tmp_path / "taxonomy.yaml").write_text(taxonomy.to_yaml(), encoding="utf-8")
    assert export_engines(fitted, tmp_path, [*comments, long]).engines["onnx"].difference < 1e-4
    layout = OnnxEngine(tmp_path, fitted.description_.pad_id, threads=1).layout
    assert isinstance(layout, BatchShapes if family is modernbert else PackedRows)
    again = ReasonCodeClassifier.load(tmp_path)
    probabilities = fitted.predict_proba([*comments, long])
    np.testing.assert_allclose(again.predict_proba([*comments, long]), probabilities, atol=1e-5)
    everything = dataclasses.replace(fitted.description_, thresholds=((0.0,) * 3,) * 3, operating_points={})
    tagger = dataclasses.replace(CommentTagger.load(tmp_path, threads=1), description=everything)
    for comment, tags in zip(comments[:20], tagger.tag(comments[:20]), strict=True):
        assert len(tags) == 3
        for tag in tags:
            (evidence,) = tag.evidence
            assert comment[evidence.start : evidence.end] == evidence.text
            assert set(re.findall(r"\w+", evidence.text)) <= set(re.findall(r"\w+", comment))  # whole words


def test_weights_in_other_forms_are_one_sentence(folders, tmp_path):
    for other, words in (
        ("model.safetensors.index.json", "several files"),
        ("pytorch_model.bin", "pickled, which is never read"),
    ):
        folder = tmp_path / other
        folder.mkdir()
        (folder / "config.json").write_bytes((folders[bge] / "config.json").read_bytes())
        (folder / other).write_text("{}", encoding="utf-8")
        with pytest.raises(ModelError, match=words) as caught:
            resolve_encoder(str(folder))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["sentencepiece.bpe.model", "spiece.model"])
def test_sentencepiece_alone_is_one_sentence(folders, tmp_path, name):
    for part in ("config.json", "model.safetensors"):
        (tmp_path / part).write_bytes((folders[multilingual_e5] / part).read_bytes())
    (tmp_path / name).write_bytes(b"pieces")
    with pytest.raises(ModelError, match=rf"no tokenizer\.json, only {name}") as caught:
        load_tokenizer(tmp_path, 64)
    assert "\n" not in str(caught.value)
    (tmp_path / name).unlink()
    with pytest.raises(ModelError, match="has no tokenizer$"):
        load_tokenizer(tmp_path, 64)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"model_type": "not-a-model"}, "cannot be read"),
        ({"model_type": "x", "auto_map": {"AutoConfig": "x.Y", "AutoModel": "x.Z"}}, "cannot be read"),
        ({"model_type": "t5", "d_model": 8, "d_ff": 8, "num_layers": 1, "num_heads": 1}, "has a decoder"),
    ],
)
def test_what_is_no_encoder_is_one_sentence(tmp_path, config, words):
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ModelError, match=words) as caught:
        load_backbone(tmp_path, pretrained=False)
    assert "\n" not in str(caught.value)

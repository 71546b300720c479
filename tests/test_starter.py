"""The starter: what training changed, kept thin, and only for the encoder that it was made from."""

import dataclasses
import json
import sys

import numpy as np
import pytest
import torch

from data.errors import ModelError
from data.starter_corpus import CorpusDomain
from model.classifier import ReasonCodeClassifier
from model.encoder import OFFICIAL_SHA256, load_backbone, resolve_encoder
from model.fit_settings import FitSettings
from model.network import ReasonCodeNetwork
from model.starter import (
    SHIPPED,
    Starter,
    directions,
    find_starter,
    read_starter,
    starter_between,
    starter_path,
)
from training.starter import make_starter
from whyscore.cli import main


@pytest.fixture
def network(tiny_encoder):
    return ReasonCodeNetwork(load_backbone(tiny_encoder, pretrained=True), 32, 1)


def parameters(network):
    return {name: value.detach().clone() for name, value in network.backbone.named_parameters()}


def change_thinly(network, rank):
    """Change every matrix by a product of two thin ones, and everything else at will."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 2:
                rows, columns = parameter.shape
                parameter += 0.1 * torch.randn(rows, rank) @ torch.randn(rank, columns)
            else:
                parameter += torch.randn(parameter.shape)


def made(network, encoder, rank=3):
    before = parameters(network)
    change_thinly(network, rank)
    sha = resolve_encoder(str(encoder)).sha256
    return starter_between(before, network, sha, torch.ones(32), (0.2, 0.3, 0.4), rank)


def test_thin_changes_are_reproduced(network, tiny_encoder, tmp_path):
    starter = made(network, tiny_encoder)
    starter.write(tmp_path / "s.safetensors")
    fresh = ReasonCodeNetwork(load_backbone(tiny_encoder, pretrained=True), 32, 1)
    read_starter(tmp_path / "s.safetensors").apply(fresh)
    for name, value in parameters(network).items():
        torch.testing.assert_close(parameters(fresh)[name], value, atol=0.02, rtol=0.01)
    for name, value in network.reader.state_dict().items():
        torch.testing.assert_close(fresh.reader.state_dict()[name], value, atol=0.02, rtol=0.01)


def test_a_lower_rank_keeps_the_greatest_part(network, tiny_encoder):
    before = parameters(network)
    change_thinly(network, 6)
    name = "encoder.layer.0.intermediate.dense.weight"
    change = (parameters(network)[name] - before[name]).detach()
    missed = []
    for rank in (1, 3, 6):
        left, right = starter_between(before, network, "x", torch.ones(32), (0.5,) * 3, rank).changes[name]
        assert left.shape[1] == right.shape[0] == rank
        missed.append(float((change - left @ right).norm() / change.norm()))
    best = torch.linalg.svdvals(change)
    assert missed[0] == pytest.approx(float(best[1:].norm() / best.norm()), rel=1e-3)
    assert missed[0] > missed[1] > missed[2]
    assert missed[2] < 1e-4


def test_it_is_written_and_read_back(network, tiny_encoder, tmp_path):
    starter = made(network, tiny_encoder)
    starter.write(tmp_path / "deep" / "s.safetensors")
    found = read_starter(tmp_path / "deep" / "s.safetensors")
    assert (found.encoder_sha256, found.thresholds) == (starter.encoder_sha256, starter.thresholds)
    assert torch.equal(found.centre, starter.centre)
    assert found.changes.keys() == starter.changes.keys()
    for name, parts in starter.changes.items():
        assert all(torch.equal(a.half(), b) for a, b in zip(parts, found.changes[name], strict=True))
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["s.safetensors"]
    assert found.digest() == read_starter(tmp_path / "deep" / "s.safetensors").digest()
    moved = dataclasses.replace(found, reader={name: value + 1 for name, value in found.reader.items()})
    assert moved.digest() != found.digest()


@pytest.mark.parametrize("content", [b"", b"no starter", None])
def test_a_file_that_is_none_is_one_sentence(tmp_path, content):
    path = tmp_path / "s.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match="does not hold a starter") as caught:
        read_starter(path)
    assert "\n" not in str(caught.value)


def test_another_encoders_starter_is_refused_and_not_found(network, tiny_encoder, tmp_path):
    starter = made(network, tiny_encoder)
    other = Starter("0" * 64, starter.centre, starter.reader, starter.changes, starter.thresholds)
    model = ReasonCodeClassifier(("a.b",), str(tiny_encoder), max_tokens=64, starter=other)
    with pytest.raises(ModelError, match="another encoder"):
        model.start()
    other.write(starter_path(tmp_path, starter.encoder_sha256))
    find_starter.cache_clear()
    assert find_starter(starter.encoder_sha256, tmp_path) is None


def test_a_classifier_starts_at_it(network, tiny_encoder, tmp_path):
    starter = made(network, tiny_encoder)
    starter.write(starter_path(tmp_path, starter.encoder_sha256))
    find_starter.cache_clear()
    found = find_starter(starter.encoder_sha256, tmp_path)
    model = ReasonCodeClassifier(("a.b", "c.d"), str(tiny_encoder), max_tokens=64, starter=found).start()
    assert model.description_.thresholds == ((0.2, 0.3, 0.4),) * 2
    assert torch.equal(model.network_.centre, starter.centre)
    bare = ReasonCodeClassifier(("a.b", "c.d"), str(tiny_encoder), max_tokens=64).start()
    assert not np.allclose(model.predict_proba(["my fee"]), bare.predict_proba(["my fee"]))


def test_directions_are_apart_from_what_all_share():
    means = torch.nn.functional.normalize(torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]]), dim=-1)
    found = directions(means, means.mean(0))
    torch.testing.assert_close(found.norm(dim=-1), torch.ones(2))
    torch.testing.assert_close(found[0], -found[1])


@pytest.mark.skipif(not SHIPPED.is_file(), reason="no starter is shipped")
def test_the_shipped_starter_belongs_to_the_packaged_encoder():
    starter = find_starter(OFFICIAL_SHA256)
    assert starter.encoder_sha256 == OFFICIAL_SHA256
    assert len(starter.thresholds) == 3
    assert all(0 < threshold < 1 for threshold in starter.thresholds)
    backbone = load_backbone(resolve_encoder().folder, pretrained=False)
    shapes = {name: tuple(value.shape) for name, value in backbone.named_parameters()}
    assert starter.changes.keys() == shapes.keys()
    for name, parts in starter.changes.items():
        shape = parts[0].shape if len(parts) == 1 else (parts[0].shape[0], parts[1].shape[1])
        assert tuple(shape) == shapes[name]
    assert starter.centre.shape == (backbone.config.hidden_size,)


@pytest.fixture(scope="module")
def domains(annotations, taxonomy, targets):
    """Two domains of the tiny language; one by the name of a held-out one."""
    comments = tuple(row.comment for row in annotations)
    return [
        CorpusDomain(name, taxonomy, comments[rows], tuple(targets[rows]))
        for name, rows in (("shops", slice(0, 200)), ("gym-chain", slice(200, 260)))
    ]


def test_a_starter_reads_definitions_better_than_the_bare_encoder(domains, tiny_encoder):
    plan = FitSettings(epochs=24, batch_size=16, encoder_rate=1e-3, head_rate=2.5e-3, average=0.98, threads=1)
    told = []
    starter, figures = make_starter(
        str(tiny_encoder), plan, domains=domains, max_tokens=64, on_progress=lambda *x: told.append(x)
    )
    assert told[-1][0] == told[-1][1] == len(told)
    assert (figures.domains, figures.codes) == (1, 3)
    assert starter.thresholds == figures.thresholds
    _, before = make_starter(str(tiny_encoder), FitSettings(epochs=0), domains=domains, max_tokens=64)
    assert figures.micro_f1 > before.micro_f1 + 0.2


def test_the_command_keeps_it_where_trainings_find_it(domains, tiny_encoder, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("training.starter.read_corpus", lambda: domains)
    monkeypatch.setenv("WHYSCORE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WHYSCORE_THREADS", "1")
    monkeypatch.setenv("WHYSCORE_MAX_TOKENS", "64")

    def whyscore(*arguments):
        monkeypatch.setattr(sys, "argv", ["whyscore", "starter", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, *capsys.readouterr()

    code, out, _ = whyscore("--encoder", tiny_encoder, "--epochs", "1", "--json")
    told = json.loads(out)
    assert code == 0
    assert told["held_out"]["codes"] == 3
    find_starter.cache_clear()
    assert find_starter(told["encoder_sha256"], tmp_path / "home") is not None
    code, out, err = whyscore("--encoder", tiny_encoder, "--epochs", "1", "-o", tmp_path / "own.safetensors")
    assert (code, out) == (0, "")
    assert "micro-F1" in err
    assert read_starter(tmp_path / "own.safetensors").encoder_sha256 == told["encoder_sha256"]
    code, _, err = whyscore("--encoder", tiny_encoder, "-o", tmp_path / "own.pt")
    assert code == 2
    assert ".safetensors" in err

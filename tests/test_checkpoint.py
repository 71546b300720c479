"""A fit's state on disk: read back whole, and only by the fit that wrote it."""

import pytest
import torch

from model.checkpoint import Checkpoint, read_checkpoint, write_checkpoint

STATE = Checkpoint(
    {"own.0": torch.arange(6.0).view(2, 3), "optimizer.0.step": torch.tensor(3.0)},
    {"step": 3, "history": [{"epoch": 1.0}], "order": {"state": {"state": 2**100}}},
)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "unfinished" / "fit.safetensors"
    write_checkpoint(path, "key", STATE)
    return path


def test_it_comes_back_whole(path):
    found = read_checkpoint(path, "key")
    assert found.facts == STATE.facts
    assert found.tensors.keys() == STATE.tensors.keys()
    assert all(torch.equal(found.tensors[name], value) for name, value in STATE.tensors.items())
    assert [p.name for p in path.parent.iterdir()] == ["fit.safetensors"]


def test_another_fit_does_not_take_it_up(path):
    assert read_checkpoint(path, "another key") is None
    assert read_checkpoint(path, "key") is not None


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_a_broken_file_is_ignored(path, content):
    path.write_bytes(path.read_bytes()[:-4] if content is None else content)
    assert read_checkpoint(path, "key") is None


def test_no_file_is_no_checkpoint(tmp_path):
    assert read_checkpoint(tmp_path / "nothing.safetensors", "key") is None


def test_facts_that_are_not_there_or_no_json_are_ignored(tmp_path):
    from safetensors.torch import save_file

    for facts in ({}, {"facts": "{"}):
        save_file(STATE.tensors, str(tmp_path / "x.safetensors"), metadata={"key": "key"} | facts)
        assert read_checkpoint(tmp_path / "x.safetensors", "key") is None


def test_a_later_state_replaces_the_former_one(path):
    write_checkpoint(path, "key", Checkpoint({"own.0": torch.ones(1)}, {"step": 9}))
    found = read_checkpoint(path, "key")
    assert found.facts == {"step": 9}
    assert found.tensors["own.0"].tolist() == [1.0]


def test_a_write_that_fails_leaves_the_former_state(path):
    with pytest.raises(TypeError):
        write_checkpoint(path, "key", Checkpoint({}, {"step": object()}))
    assert read_checkpoint(path, "key").facts == STATE.facts

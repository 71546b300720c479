"""Processes that share a fit: alone nothing changes; two end with the same weights, and one speaks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from data.settings import Settings
from model.devices import Processes, processes
from training.registration import list_versions

ROOT = Path(__file__).resolve().parent.parent
ALONE = Processes(0, 1, torch.device("cpu"))


def test_alone_nothing_is_shared():
    assert processes().count == 1
    assert processes().is_main
    batches = [torch.arange(3), torch.arange(2)]
    assert ALONE.share(batches) is batches
    assert ALONE.agreed(0.5, 2.0) == (0.5, 2.0)
    assert ALONE.alike(3.0)
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.grad = torch.tensor([1.0, 2.0])
    ALONE.average([parameter])
    assert parameter.grad.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(("batches", "count"), [(7, 2), (6, 3), (1, 4)])
def test_every_batch_is_somebodys_and_all_have_equally_many(batches, count):
    shares = [Processes(i, count, torch.device("cpu")).share(list(range(batches))) for i in range(count)]
    assert {batch for share in shares for batch in share} == set(range(batches))
    assert len({len(share) for share in shares}) == 1
    assert sum(map(len, shares)) < batches + count


def launch(*arguments, home):
    """Run something in two processes, as `accelerate launch` does on two GPUs."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    threads = {"OMP_NUM_THREADS": "1", "WHYSCORE_THREADS": "1", "WHYSCORE_MAX_TOKENS": "64"}
    own = {"WHYSCORE_HOME": str(home), "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        [*command, *map(str, arguments)],
        env=os.environ | threads | own,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )


TWO = """
import sys
import torch
from safetensors.torch import save_file
from data.annotations import read_annotations, to_target
from data.taxonomy import read_taxonomy
from model.classifier import ReasonCodeClassifier
from model.devices import part_ways, processes
from model.fit_settings import FitSettings

files, encoder, out = sys.argv[1:]
group = processes()
assert group.count == 2

parameters = [torch.nn.Parameter(torch.zeros(3)), torch.nn.Parameter(torch.zeros(2, 2))]
parameters[0].grad = torch.full((3,), 1.0 + group.index)
if group.is_main:
    parameters[1].grad = torch.ones(2, 2)
group.average(parameters)
assert parameters[0].grad.tolist() == [1.5] * 3
assert parameters[1].grad.tolist() == [[0.5] * 2] * 2
assert group.agreed(float(group.index) + 7) == (7.0,)
assert group.alike(4.0)
assert not group.alike(float(group.index))
told = torch.full((2,), float(group.index))
group.spread([told])
assert told.tolist() == [0.0, 0.0]

taxonomy = read_taxonomy(files + "/taxonomy.yaml")
rows = list(read_annotations(files + "/annotations.jsonl", taxonomy))[:200]
targets = [to_target(row, taxonomy) for row in rows]
rates = {"head_rate": 2.5e-3, "encoder_rate": 1e-3}
plan = FitSettings(epochs=3, least_steps=0, batch_size=16, precision="fp32", **rates)
model = ReasonCodeClassifier(taxonomy.active, encoder, plan, 64)
comments = [row.comment for row in rows]
steps = []
model.fit(comments[:160], targets[:160], (comments[160:], targets[160:]), lambda p: steps.append(p.step))
assert model.fit_result_.processes == 2
assert steps == (list(range(1, 16)) if group.is_main else [])
weights = {name: value.contiguous() for name, value in model.network_.state_dict().items()}
save_file(weights, f"{out}/{group.index}.safetensors")
part_ways()
"""


@pytest.mark.slow
def test_two_processes_end_with_the_same_weights(files, tiny_encoder, tmp_path):
    script = tmp_path / "two.py"
    script.write_text(TWO, encoding="utf-8")
    done = launch(script, files, tiny_encoder, tmp_path, home=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (load_file(tmp_path / f"{i}.safetensors") for i in range(2))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
def test_one_of_two_processes_registers_and_speaks(files, tiny_encoder, tmp_path):
    command = ("-m", "whyscore", "train", files / "annotations.jsonl", "--taxonomy", files / "taxonomy.yaml")
    done = launch(*command, "--encoder", tiny_encoder, "--epochs", "1", "--json", home=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert told["model"] == "models:/reason-codes/1"
    assert told["training"]["processes"] == 2
    (version,) = list_versions(Settings(home=tmp_path))
    assert version.champion
    assert not list((tmp_path / "unfinished").glob("*"))

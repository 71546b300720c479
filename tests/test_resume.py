"""A training that is killed goes on from its last whole epoch and ends as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from data.settings import Settings
from model.classifier import ReasonCodeClassifier
from model.registry import find_model

ROOT = Path(__file__).resolve().parent.parent

# The command as it is, but that it tells where the fit stands, and waits in mid-epoch to be killed.
COMMAND = """
import sys
import model.fitting as fitting

fitting.bf16_pays = lambda device: False  # a busy machine might measure otherwise from run to run
keep, resume, learn = fitting._Run.keep, fitting._Run.resume, fitting._Run._learn


def tell(text):
    print(text, file=sys.stderr, flush=True)


def keep_and_tell(run, place):
    keep(run, place)
    tell(f"kept {len(run.history)}")


fits = 0


def resume_and_tell(run, place):
    global fits
    fits += 1
    resume(run, place)
    tell(f"begins after {len(run.history)}")


def learn_and_wait(run, batch):
    loss = learn(run, batch)
    if (fits, len(run.history)) == tuple(map(int, stop.split("."))) and run.step % 17 == 5:
        tell("waits")
        sys.stdin.readline()
    return loss


fitting._Run.keep, fitting._Run.resume, fitting._Run._learn = keep_and_tell, resume_and_tell, learn_and_wait
stop, sys.argv = sys.argv[1], ["whyscore", *sys.argv[2:]]
from whyscore.cli import main

main()
"""


def start(stop_in, files, encoder, home):
    command = ["train", files / "annotations.jsonl", "--taxonomy", files / "taxonomy.yaml"]
    command += ["--encoder", encoder, "--epochs", "4", "--json"]
    own = {"WHYSCORE_HOME": str(home), "WHYSCORE_THREADS": "1", "WHYSCORE_MAX_TOKENS": "64"}
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, stop_in, *map(str, command)],
        env=os.environ | own | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(files, encoder, home):
    """Run the command to its end and give the model's weights and what was told on the way."""
    with start("0.0", files, encoder, home) as process:
        out, err = process.communicate(timeout=1800)
    assert process.returncode == 0, err[-3000:]
    told = [line for line in err.splitlines() if line.startswith(("kept", "begins"))]
    model = find_model(json.loads(out)["model"], Settings(home=home)).folder
    return ReasonCodeClassifier.load(model), json.loads(out), told


@pytest.fixture(scope="module")
def uninterrupted(files, tiny_encoder, tmp_path_factory):
    return finish(files, tiny_encoder, tmp_path_factory.mktemp("whole"))


@pytest.mark.slow
@pytest.mark.parametrize("stage", [1, 2])
def test_a_killed_training_goes_on_and_ends_bit_for_bit_the_same(
    stage, files, tiny_encoder, uninterrupted, tmp_path
):
    """Be it in the first fit, or in what follows on all annotations."""
    with start(f"{stage}.2", files, tiny_encoder, tmp_path / "killed") as process:
        for line in process.stderr:
            if line.strip() == "waits":
                break
        os.kill(process.pid, signal.SIGKILL)  # two epochs are kept, the third is under way
    kept = list((tmp_path / "killed" / "unfinished").iterdir())
    assert [path.suffix for path in kept] == [".safetensors"] * stage
    whole, told, way = uninterrupted
    again, told_again, way_again = finish(files, tiny_encoder, tmp_path / "killed")
    assert way[0] == "begins after 0"
    assert "begins after 2" in way_again
    after = way_again.index("begins after 2") + 1
    assert way_again[after:] == way[len(way) - len(way_again) + after :]
    assert not [line for line in way_again[:after] if line.startswith("kept")]
    first, second = whole.network_.state_dict(), again.network_.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert whole.description_.thresholds == again.description_.thresholds
    assert told["evaluation"] == told_again["evaluation"]
    assert not list((tmp_path / "killed" / "unfinished").iterdir())
    assert np.isfinite(first["weight"].numpy()).all()

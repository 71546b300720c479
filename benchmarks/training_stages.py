"""How long each stage of a training takes, and its peak memory: the whole fit, or the head on kept states.

Run on a machine that does nothing else: ``python benchmarks/training_stages.py --threads 2`` trains on
FABSA as ``whyscore train`` does, then fits the head alone twice as ``whyscore train --from MODEL
--head-only`` does, the second time on token states that the first one kept. ``--model FOLDER`` skips the
first training. Hypothesis: a whole training on 7,000 comments takes ten minutes at most, the head alone on
kept states 20 seconds, and memory stays under 3 GB.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import protocols
from measuring_sets import Converted

from data.settings import Settings
from training.pipeline import train
from training.refit import refit
from training.release import TrainedModel

Told = Callable[[str], None]


class Stages:
    """Notes when stages begin."""

    def __init__(self) -> None:
        self.found: list[tuple[str, float, float]] = []

    def note(self, name: str) -> None:
        """Note that one begins."""
        self.found.append((name, time.perf_counter(), time.process_time()))

    def lines(self) -> list[str]:
        """Say how long each took, in seconds of the clock and of the cores, and all together."""
        ends = [*self.found[1:], ("", time.perf_counter(), time.process_time())]
        pairs = list(zip(self.found, ends, strict=True))
        every = [(name, end[1] - wall, end[2] - cpu) for (name, wall, cpu), end in pairs]
        every.append(("all of it", sum(one[1] for one in every), sum(one[2] for one in every)))
        return [f"  {wall:7.1f} s, {cpu:7.1f} s of the cores  {name}" for name, wall, cpu in every]


def measured(title: str, work: Callable[[Told], TrainedModel]) -> TrainedModel:
    """Do something that tells its stages, and print what they took."""
    stages = Stages()
    stages.note("Before the first stage")
    done = work(stages.note)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)
    print(f"{title}; at most {peak:,.0f} MB until here", *stages.lines(), sep="\n", flush=True)
    return done


def comments_of_fabsa(folder: Path, comments: int) -> Converted:
    """Give the first comments of FABSA, from both parts where more are asked for than training has."""
    files = protocols.grouped(folder, "fabsa")
    lines = [
        line for path in (files.train, files.held_out) for line in path.read_text("utf-8").splitlines(True)
    ]
    files.train.write_text("".join(lines[:comments]), encoding="utf-8")
    return files


def main() -> None:
    """Train, fit the head twice, and print what the stages took."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--comments", type=int, default=7000)
    parser.add_argument("--model", help="a model's folder, instead of training one")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="whyscore-stages-") as home:
        settings = Settings(
            home=Path(home), registry_uri=f"sqlite:///{home}/mlflow.sqlite", threads=arguments.threads
        )
        files = comments_of_fabsa(Path(home) / "files", arguments.comments)
        model = arguments.model
        if model is None:
            trained = measured(
                f"A whole training, {arguments.comments:,} comments",
                lambda told: train(files.train, files.taxonomy, settings, on_stage=told),
            )
            model = f"models:/{settings.model_name}/{trained.registered.version}"
        for title in ("The head alone, token states read and kept", "The head alone, on kept token states"):
            measured(
                title,
                lambda told: refit(
                    files.train, files.taxonomy, model, settings, regime="head-only", on_stage=told
                ),
            )


if __name__ == "__main__":
    main()

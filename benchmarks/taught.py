"""The product with a teacher under measurement: `whyscore train --teacher` with a wider encoder's model.

The teacher is fitted as ``whyscore train --encoder --epochs 2`` does, once for each set of files, and kept
with its registry; the packaged encoder then learns from it and from the annotations. To fit a teacher alone:
``python benchmarks/taught.py TRAIN.jsonl TAXONOMY.yaml ENCODER HOME``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from measurement import Prediction, Problem
from product import read_registered, settings_in

from data.errors import ModelError
from data.settings import Settings
from model.fit_settings import FitSettings
from model.registry import find_model
from training.pipeline import train
from training.teacher import TeacherOptions

PASSES = 2
"""After two passes the teacher is at its best, and does not know the annotations by heart yet."""


def taught(problem: Problem, seed: int, encoder: Path | None, folder: Path) -> Prediction:
    """Fit a teacher where there is none, learn from it, and read the held-out part.

    Parameters
    ----------
    problem, seed
        Of the learner; the teacher's seed is 0.
    encoder
        The teacher's.
    folder
        Where teachers are kept.

    Raises
    ------
    SystemExit
        If there is no teacher yet, and no encoder to make one of.
    """
    files = problem.files
    home = folder / files.digest()
    location = fitted_teacher(files.train, files.taxonomy, encoder, teacher_in(home))
    learner = settings_in(home)
    trained = train(
        files.train, files.taxonomy, learner, fit=FitSettings(seed=seed), teacher=TeacherOptions(location)
    )
    return read_registered(trained, files.taxonomy, problem.held.comments, learner)


def fitted_teacher(train_file: Path, taxonomy_file: Path, encoder: Path | None, settings: Settings) -> str:
    """Give where the teacher is registered; it is fitted where there is none."""
    location = f"models:/{settings.model_name}@champion"
    try:
        find_model(location, settings)
    except ModelError:
        if encoder is None:
            raise SystemExit("a teacher needs an encoder: --teacher-encoder FOLDER") from None
        fit = FitSettings(seed=0, epochs=PASSES, least_steps=0)
        train(train_file, taxonomy_file, settings, encoder=str(encoder), fit=fit)
    return location


def teacher_in(home: Path) -> Settings:
    """Give settings under which a teacher is kept in a folder."""
    home.mkdir(parents=True, exist_ok=True)
    return settings_in(home).model_copy(update={"model_name": "teacher"})


def main() -> None:
    """Fit a teacher alone."""
    parser = argparse.ArgumentParser(description="Fit a teacher, and keep it.")
    for name in ("train", "taxonomy", "encoder", "home"):
        parser.add_argument(name, type=Path)
    arguments = parser.parse_args()
    settings = teacher_in(arguments.home)
    print(fitted_teacher(arguments.train, arguments.taxonomy, arguments.encoder, settings))


if __name__ == "__main__":
    main()

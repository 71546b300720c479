"""``train --from`` and ``starter``: a model taken further, and what trainings start from."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import InputError
from data.settings import Settings
from whyscore.terminal import print_json, progress_bar, say
from whyscore.training_commands import end_training, need_torch

if TYPE_CHECKING:
    from training.refit import RefitRegime


@dataclass(frozen=True)
class RefitOptions:
    """What ``train --from`` was asked for."""

    annotations: Path
    model: str
    regime: RefitRegime | None
    reader: bool


def refit_options(
    model: str | None,
    new_codes: bool,
    head_only: bool,
    reader: bool,
    annotations: Path | None,
    encoder: str | None,
    epochs: int | None,
) -> RefitOptions | None:
    """Give what ``train`` is to take further; None where it starts from an encoder.

    Raises
    ------
    InputError
        If the options contradict each other.
    """
    if new_codes and head_only:
        raise InputError("--new-codes and --head-only exclude each other")
    if reader and not head_only:
        raise InputError("--reader belongs to --head-only")
    if model is None:
        if new_codes or head_only:
            raise InputError("--new-codes and --head-only take a model further; name it with --from")
        return None
    if encoder is not None:
        raise InputError("--from keeps the model's own encoder; leave --encoder out")
    if epochs is not None:
        raise InputError("--from makes as many passes as it needs; leave --epochs out")
    if annotations is None:
        raise InputError("--from needs annotated comments")
    regime: RefitRegime | None = "new-codes" if new_codes else "head-only" if head_only else None
    return RefitOptions(annotations, model, regime, reader)


def run_refit(
    options: RefitOptions, taxonomy: Path, seed: int, promote: bool, as_json: bool, settings: Settings
) -> None:
    """Take a model further, register it, and show what it reaches on the held-out part."""
    need_torch()
    from training.refit import refit

    start = time.monotonic()
    with progress_bar("Fitting") as tell:
        trained = refit(
            options.annotations,
            taxonomy,
            options.model,
            settings,
            regime=options.regime,
            reader=options.reader,
            seed=seed,
            make_champion=promote,
            on_progress=tell,
            on_stage=lambda stage: None if as_json else say(f"{stage} ..."),
        )
    end_training(trained, time.monotonic() - start, as_json, settings)


def run_starter(
    encoder: str | None, output: Path | None, seed: int, epochs: int, as_json: bool, settings: Settings
) -> None:
    """Make a starter, keep it where trainings find it, and show how it reads definitions."""
    need_torch()
    from model.fit_settings import FitSettings
    from model.starter import starter_path
    from training.starter import make_starter

    if output is not None and output.suffix != ".safetensors":
        raise InputError("a starter's file ends in .safetensors", file=output)
    start = time.monotonic()
    plan = FitSettings(seed=seed, epochs=epochs, threads=settings.threads)
    with progress_bar("Learning to read definitions") as tell:
        made, figures = make_starter(
            encoder,
            plan,
            max_tokens=settings.max_tokens,
            on_progress=lambda done, total: tell(done, total, ""),
        )
    path = output or starter_path(settings.home, made.encoder_sha256)
    made.write(path)
    if as_json:
        print_json(
            {
                "starter": str(path),
                "encoder_sha256": made.encoder_sha256,
                "seconds": round(time.monotonic() - start, 1),
                "held_out": {
                    "domains": figures.domains,
                    "codes": figures.codes,
                    "pair_micro_f1": figures.micro_f1,
                    "pair_macro_f1": figures.macro_f1,
                },
                "thresholds": list(figures.thresholds),
            }
        )
        return
    say(
        f"{figures.domains} held-out domains with {figures.codes} codes, read from definitions alone: "
        f"(code, polarity) micro-F1 {figures.micro_f1:.3f}, macro-F1 {figures.macro_f1:.3f}"
    )
    say(f"The starter is in {path}." + ("" if output else " Trainings with this encoder start from it."))

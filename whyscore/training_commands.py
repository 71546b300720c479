"""``train``, ``evaluate`` and ``models``: wiring to the training floor."""

from __future__ import annotations

import dataclasses
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.errors import InputError, MissingExtraError
from data.settings import Settings
from whyscore.options import parse_mapping
from whyscore.terminal import print_json, print_table, progress_bar, say

if TYPE_CHECKING:
    from training.release import TrainedModel
    from training.teacher import TeacherOptions


def teacher_options(
    model: str | None, unreviewed: Path | None, mapping: list[str] | None, base: str | None
) -> TeacherOptions | None:
    """Give the teacher that ``train`` was asked for, or None; raises `InputError` on what contradicts it."""
    if mapping and unreviewed is None:
        raise InputError("--map names columns of the --unreviewed file")
    if model is None:
        if unreviewed is not None:
            raise InputError("--unreviewed comments are read by a teacher; name it with --teacher")
        return None
    if base is not None:
        raise InputError("--from takes a model further as it is; leave --teacher out")
    need_torch()
    from training.teacher import TeacherOptions

    return TeacherOptions(model, unreviewed, parse_mapping(mapping))


def run_training(
    annotations: Path | None,
    taxonomy: Path,
    encoder: str | None,
    teacher: TeacherOptions | None,
    seed: int,
    epochs: int | None,
    promote: bool,
    as_json: bool,
    settings: Settings,
) -> None:
    """Train, register, and show what the new version reaches on its held-out part."""
    need_torch()
    from model.devices import part_ways, processes
    from model.fit_settings import FitSettings
    from training.pipeline import lend_hand, train

    fit = FitSettings(seed=seed)
    if epochs is not None:  # as many as were asked for, also of a small set
        fit = dataclasses.replace(fit, epochs=epochs, least_steps=0)
    try:
        if not processes().is_main:
            lend_hand(annotations, taxonomy, settings, encoder=encoder, fit=fit, teacher=teacher)
            return
        start = time.monotonic()
        with progress_bar("Fine-tuning") as tell:
            trained = train(
                annotations,
                taxonomy,
                settings,
                encoder=encoder,
                fit=fit,
                teacher=teacher,
                make_champion=promote,
                on_progress=lambda p: tell(p.step, p.steps, f"epoch {p.epoch}  loss {p.loss:.3f}"),
                on_read=lambda done, total: tell(done, total, "comments read by the teacher"),
                on_stage=lambda stage: None if as_json else say(f"{stage} ..."),
            )
    finally:
        part_ways()
    end_training(trained, time.monotonic() - start, as_json, settings)


def need_torch() -> None:
    """Raise `MissingExtraError` where torch is not installed, before anything else is done."""
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("training", "train") from error


def end_training(trained: TrainedModel, seconds: float, as_json: bool, settings: Settings) -> None:
    """Show what a new version reaches on its held-out part; tell subscribers if it is the champion now."""
    if trained.registered.champion:
        _tell_of_promotion(trained.registered.version, trained.former, settings)
    figures = trained.evaluation.to_dict()
    uri = f"models:/{settings.model_name}/{trained.registered.version}"
    if as_json:
        print_json(
            {
                "model": uri,
                "champion": trained.registered.champion,
                "seconds": round(seconds, 1),
                "training": trained.summary,
                "evaluation": figures,
            }
        )
        return
    if figures["comments"]:
        show_evaluation(figures, f"{uri} on its held-out part")
    else:
        say("No annotated comment was held out, so nothing is measured; more annotations would change that.")
    say(f"Registered {uri}{' and made it the champion' if trained.registered.champion else ''}.")


def run_evaluation(annotations: Path, model: str | None, as_json: bool, settings: Settings) -> None:
    """Measure a model on annotated comments that it has not seen."""
    from model.registry import find_model
    from training.pipeline import evaluate_file

    location = find_model(model, settings)
    result = evaluate_file(annotations, location.folder, settings)
    figures = result.evaluation.to_dict()
    if as_json:
        print_json({"model": location.name, "left_out_as_seen": result.seen, **figures})
        return
    show_evaluation(figures, f"{location.name} on {annotations.name}")
    if result.seen:
        say(f"{result.seen} comments were left out: the model was fitted on them.")


def show_evaluation(figures: dict[str, Any], title: str) -> None:
    """Print the overall figures and one row for each code."""
    rows = [
        [
            code,
            _share(score["precision"]),
            _share(score["recall"]),
            _share(score["f1"]),
            _share(score.get("ece")),
            str(score["support"]),
        ]
        for code, score in sorted(figures["codes"].items(), key=lambda item: -item[1]["support"])
        if score["support"]
    ]
    columns = ["code", "precision", "recall", "F1", "calibration error", "comments"]
    print_table(title, columns, rows, {1, 2, 3, 4, 5})
    points = figures["operating_points"]
    if points:
        kinds = ["expected_precision", "precision", "expected_recall", "recall"]
        rows = [[name, *(_share(point[kind]) for kind in kinds)] for name, point in points.items()]
        columns = ["operating point", "precision expected", "reached", "recall expected", "reached"]
        print_table("Operating points", columns, rows, {1, 2, 3, 4})
    if figures.get("abstained"):
        say(f"{figures['abstained']} comments are unlike those of the training: nothing is said of them")
    say(
        f"{figures['comments']} comments: (code, polarity) micro-F1 {_share(figures['pair_micro_f1'])}, "
        f"macro-F1 {_share(figures['pair_macro_f1'])}; "
        f"code alone {_share(figures['code_micro_f1'])}, {_share(figures['code_macro_f1'])}; "
        f"expected calibration error, mean of the codes, {_share(figures.get('ece'))} "
        f"(exact forecasts would show {_share(figures.get('ece_of_chance'))})"
    )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def run_list(as_json: bool, settings: Settings) -> None:
    """List the registered versions."""
    from training.registration import list_versions

    versions = list_versions(settings)
    if as_json:
        print_json(
            [
                {
                    "version": v.version,
                    "champion": v.champion,
                    "challenger": v.challenger,
                    "created": _moment(v.created_ms),
                    "run_id": v.run_id,
                    "pair_micro_f1": v.metrics.get("pair_micro_f1"),
                    "pair_macro_f1": v.metrics.get("pair_macro_f1"),
                    "annotations": v.params.get("annotations"),
                    "taxonomy_version": v.params.get("taxonomy_version"),
                }
                for v in versions
            ]
        )
        return
    if not versions:
        say("No version is registered yet; train one with: whyscore train ANNOTATIONS --taxonomy T.yaml")
        return
    rows = [
        [
            str(v.version),
            "champion" if v.champion else "challenger" if v.challenger else "",
            _moment(v.created_ms),
            _share(v.metrics.get("pair_micro_f1")),
            _share(v.metrics.get("pair_macro_f1")),
            v.params.get("annotations", "-"),
            v.params.get("taxonomy_version", "-"),
        ]
        for v in versions
    ]
    columns = ["version", "", "created", "micro-F1", "macro-F1", "annotations", "taxonomy"]
    print_table(settings.model_name, columns, rows, {3, 4, 5, 6})


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")


def run_promotion(version: int | None, as_json: bool, settings: Settings) -> None:
    """Make a version the champion; None goes back to the former one."""
    from training.registration import current_champion, promote, rollback

    before = current_champion(settings)
    if version is None:
        version = rollback(settings)
    else:
        promote(version, settings)
    _tell_of_promotion(version, before, settings)
    if as_json:
        print_json({"champion": version, "before": before})
        return
    say(f"The champion is {settings.model_name}/{version}" + (f" (was {before})." if before else "."))


def run_challenge(version: int | None, as_json: bool, settings: Settings) -> None:
    """Make a version the challenger; None lets there be none."""
    from training.registration import challenge

    before = challenge(version, settings)
    if as_json:
        print_json({"challenger": version, "before": before})
        return
    now = (
        "There is no challenger" if version is None else f"The challenger is {settings.model_name}/{version}"
    )
    say(now + (f" (was {before})." if before else "."))


def _tell_of_promotion(version: int, before: int | None, settings: Settings) -> None:
    """Tell subscribers of webhooks, where there is a store that may have some."""
    from data.store import Store, StoreError
    from serving.customer_loop import announce_promotion

    if settings.store_url is None and not (settings.home / "store.sqlite").exists():
        return
    former = None if before is None else f"{settings.model_name}/{before}"
    try:
        with Store.open(settings.store) as store:
            announce_promotion(store, f"{settings.model_name}/{version}", former)
    except StoreError as error:  # the promotion stands all the same
        say(f"Nobody could be told of it: {error}")


def run_comparison(a: int, b: int, as_json: bool, settings: Settings) -> None:
    """Show the held-out figures of two versions side by side."""
    from training.registration import read_evaluation

    left, right = read_evaluation(a, settings), read_evaluation(b, settings)
    names = ("pair_micro_f1", "pair_macro_f1", "code_micro_f1", "code_macro_f1")
    codes = sorted(set(left["codes"]) | set(right["codes"]))
    both = [(name, left.get(name), right.get(name)) for name in names]
    both += [(c, left["codes"].get(c, {}).get("f1"), right["codes"].get(c, {}).get("f1")) for c in codes]
    if as_json:
        print_json({"a": a, "b": b, "f1": {name: {"a": x, "b": y} for name, x, y in both}})
        return
    rows = [
        [name, _share(x), _share(y), "-" if x is None or y is None else f"{y - x:+.3f}"]
        for name, x, y in both
    ]
    print_table(
        f"F1 of {settings.model_name} on each version's own held-out part",
        ["", f"version {a}", f"version {b}", "change"],
        rows,
        {1, 2, 3},
    )

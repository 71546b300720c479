"""The command line: parses, calls a room, shows what it gives. One place turns errors into exit codes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from data.errors import InputError, WhyscoreError
from data.setting_texts import parts_of
from whyscore import __version__
from whyscore.audit_commands import audit
from whyscore.change_commands import register as register_changes
from whyscore.erasure_commands import register as register_erasure
from whyscore.explanation_command import explain
from whyscore.follow_up_commands import follow_ups
from whyscore.key_commands import keys
from whyscore.model_commands import models
from whyscore.options import (
    AsJson,
    DateFormat,
    EncoderName,
    Epochs,
    Mapping,
    ModelUri,
    ScaleName,
    TeacherModel,
    Unreviewed,
    Window,
    parse_mapping,
    read_settings,
)
from whyscore.terminal import print_json, progress_bar, say

app = typer.Typer(
    name="whyscore",
    help="Reads the comments behind your scores and ranks the root causes of lost points.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(f"whyscore {__version__}")
        raise typer.Exit


@app.command()
def train(
    taxonomy: Annotated[Path, typer.Option("--taxonomy", help="The reason codes, YAML.")],
    annotations: Annotated[
        Path | None,
        typer.Argument(help="Annotated comments, JSON lines; without them the definitions are read."),
    ] = None,
    encoder: EncoderName = None,
    seed: Annotated[int, typer.Option("--seed", help="Same seed, same machine: same model.")] = 0,
    epochs: Epochs = None,
    promote: Annotated[
        bool, typer.Option("--promote/--no-promote", help="Make the new version the champion.")
    ] = True,
    base: Annotated[
        str | None,
        typer.Option("--from", help="A model to take further under its own encoder: folder or MLflow URI."),
    ] = None,
    new_codes: Annotated[
        bool, typer.Option("--new-codes", help="With --from: fit codes that it lacks; all else stays.")
    ] = False,
    head_only: Annotated[
        bool, typer.Option("--head-only", help="With --from: fit every code anew; the encoder stays.")
    ] = False,
    reader: Annotated[
        bool, typer.Option("--reader", help="With --head-only: fit the definition reader too.")
    ] = False,
    teacher: TeacherModel = None,
    unreviewed: Unreviewed = None,
    columns: Mapping = None,
    as_json: AsJson = False,
) -> None:
    """Train a reason-code model and register it."""
    from whyscore.refit_commands import refit_options, run_refit
    from whyscore.training_commands import run_training, teacher_options

    taught = teacher_options(teacher, unreviewed, columns, base)
    refit = refit_options(base, new_codes, head_only, reader, annotations, encoder, epochs)
    if refit is not None:
        run_refit(refit, taxonomy, seed, promote, as_json, read_settings())
        return
    run_training(annotations, taxonomy, encoder, taught, seed, epochs, promote, as_json, read_settings())


@app.command()
def starter(
    encoder: EncoderName = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A .safetensors file instead of the home folder.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed")] = 0,
    epochs: Annotated[int, typer.Option("--epochs", min=1, max=100)] = 5,
    as_json: AsJson = False,
) -> None:
    """Teach an encoder to read definitions, on comments of many taxonomies; trainings start there."""
    from whyscore.refit_commands import run_starter

    run_starter(encoder, output, seed, epochs, as_json, read_settings())


@app.command()
def evaluate(
    annotations: Annotated[Path, typer.Argument(help="Annotated comments, JSON lines.")],
    model: ModelUri = None,
    as_json: AsJson = False,
) -> None:
    """Measure a model on annotated comments that it has not seen."""
    from whyscore.training_commands import run_evaluation

    run_evaluation(annotations, model, as_json, read_settings())


@app.command()
def tag(
    responses: Annotated[Path, typer.Argument(help="CSV, TSV, XLSX, Parquet or JSON lines; .gz too.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Tags: .jsonl, .csv or .parquet.")],
    model: ModelUri = None,
    scale: ScaleName = None,
    columns: Mapping = None,
    date_format: DateFormat = None,
    operating_point: Annotated[
        str,
        typer.Option(
            "--operating-point",
            help="high_precision (fewer tags, more of them right), balanced, or high_recall (misses less).",
        ),
    ] = "balanced",
    masked: Annotated[
        str | None,
        typer.Option(
            "--mask", help="Personal data to mask: card, iban, email, phone (phone:GB), with commas between."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tag the comments of a file with reason codes."""
    from data.personal_data import parse_kinds
    from data.pseudonyms import Pseudonyms
    from data.scale import scale_named
    from model.operating_points import point_named
    from serving.batch import ReadOptions, tag_file
    from serving.tagging import load_tagger

    settings = read_settings()
    kinds = parse_kinds([*settings.mask_kinds, *parts_of(masked)])
    naming = Pseudonyms(settings.home / "erasure.key").of
    form = scale_named(scale or settings.scale)
    options = ReadOptions(form, parse_mapping(columns), date_format, kinds, naming)
    point = point_named(operating_point)
    tagger = load_tagger(model, settings).at(point)
    with progress_bar("Tagging") as tell:
        summary = tag_file(responses, output, tagger, options, lambda done, total: tell(done, total, ""))
    if as_json:
        print_json(
            {
                "output": str(output),
                "model": tagger.name,
                "operating_point": point,
                "rows": summary.rows,
                "replaced": summary.replaced,
                "resumed": summary.resumed,
                "left_out": summary.left_out,
                "unscored": summary.unscored,
                "statuses": dict(summary.statuses),
                "abstained": summary.abstained,
            }
        )
        return
    counts = ", ".join(f"{count} {status}" for status, count in sorted(summary.statuses.items()))
    say(
        f"{summary.rows} responses tagged by {tagger.name} ({counts or 'the file holds no rows'}) -> {output}"
    )
    for column, missing in (("score", summary.unscored), ("comment", summary.statuses.get("no_comment", 0))):
        if summary.rows and missing == summary.rows:
            say(f"none of them has a {column}: if a column of another name holds it, say --map {column}=NAME")
    if summary.abstained:
        say(f"{summary.abstained} of the uncoded are unlike the comments that the model was trained on")
    if summary.replaced:
        say(f"{summary.replaced} rows were replaced by a later row with the same response_id")
    if summary.left_out:
        say(f"{summary.left_out} rows are survey previews and were left out")
    if summary.resumed:
        say(f"{summary.resumed} rows had been tagged by an interrupted run and were kept")


@app.command()
def rank(
    tags: Annotated[
        Path | None,
        typer.Argument(help="A tags file, as `whyscore tag` writes it; may be left out with --reproduce."),
    ] = None,
    by: Annotated[str | None, typer.Option("--by", help="Rank within each value of this segment.")] = None,
    scale: ScaleName = None,
    taxonomy: Annotated[
        Path | None, typer.Option("--taxonomy", help="For the report's labels, and codes nobody mentions.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Also write the ranking: .json, .csv, .xlsx, .pptx or .html."),
    ] = None,
    adjusted: Annotated[
        bool, typer.Option("--adjusted", help="Add each cause's effect with the other causes held equal.")
    ] = False,
    audit_file: Annotated[
        Path | None,
        typer.Option("--audit", help="Correct the model's errors by this audit (`audit import` makes it)."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", help="The model of the tags, to check that it was not trained on the audit."),
    ] = None,
    window: Window = None,
    benchmarks: Annotated[
        Path | None, typer.Option("--benchmarks", help="Industry benchmarks to set beside each metric, CSV.")
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option("--manifest", help="Also write what the ranking was computed from, JSON."),
    ] = None,
    list_rows: Annotated[
        bool,
        typer.Option(
            "--list-rows", help="List the responses, as hashes, in a Parquet file beside the manifest."
        ),
    ] = False,
    reproduce: Annotated[
        Path | None,
        typer.Option(
            "--reproduce", help="Rank again as this manifest says; ends with 1 if anything changed."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Rank the root causes of lost points, with intervals."""
    from data.audits import read_audit
    from data.industry_benchmarks import read_benchmarks
    from data.scale import scale_named
    from data.scratch_database import DatabaseLimits
    from model.audit_check import AuditCheck, seen_texts_behind
    from model.periods import parse_span
    from whyscore.ranking_commands import run_ranking
    from whyscore.reproduction_commands import manifest_request, run_reproduction

    settings, check = read_settings(), None
    if reproduce is not None:
        others = [by, scale, taxonomy, output, adjusted, audit_file, window, benchmarks, manifest, list_rows]
        if any(others):
            raise InputError("--reproduce takes all that it needs from the manifest; leave the others out")
        run_reproduction(reproduce, tags, model, as_json, settings)
        return
    if tags is None:
        raise InputError("name a tags file, as `whyscore tag` writes it: whyscore rank TAGS")
    if audit_file is not None:
        check = AuditCheck(read_audit(audit_file), seen_texts_behind(tags, model, settings))
    span = None if window is None else parse_span(window)
    known_scale = scale_named(scale or settings.scale)
    run_ranking(
        tags,
        by,
        known_scale,
        taxonomy,
        output,
        as_json,
        adjusted,
        check=check,
        span=span,
        benchmarks=() if benchmarks is None else read_benchmarks(benchmarks),
        limits=DatabaseLimits(settings.threads, settings.memory_mb),
        lineage=manifest_request(settings, tags, manifest, output, list_rows, audit_file, model),
    )


@app.command()
def topics(
    responses: Annotated[Path, typer.Argument(help="Responses, or a tags file.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the topics and their model.")
    ] = None,
    model: ModelUri = None,
    scale: ScaleName = None,
    columns: Mapping = None,
    date_format: DateFormat = None,
    seed: Annotated[int, typer.Option("--seed")] = 0,
    as_json: AsJson = False,
) -> None:
    """Find topics that no reason code covers yet."""
    from data.scale import scale_named
    from serving.batch import ReadOptions
    from whyscore.topic_commands import run_topics

    settings = read_settings()
    options = ReadOptions(scale_named(scale or settings.scale), parse_mapping(columns), date_format)
    run_topics(responses, output, model, options, seed, as_json, settings)


app.add_typer(models, name="models")
app.add_typer(audit, name="audit")
app.add_typer(keys, name="keys")
app.add_typer(follow_ups, name="follow-ups")
register_changes(app)
register_erasure(app)
app.command()(explain)


@app.command()
def retag(model: ModelUri = None, as_json: AsJson = False) -> None:
    """Tag again what the store has from other models, so that all of it can be ranked together."""
    from whyscore.server import run_retagging

    run_retagging(model, as_json, read_settings())


@app.command()
def serve(
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535)] = 8000,
    model: ModelUri = None,
    tls_cert: Annotated[
        Path | None, typer.Option("--tls-cert", help="Certificate with its chain, PEM.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", help="Its key, PEM.")] = None,
    workers: Annotated[
        int, typer.Option("--workers", min=1, max=256, help="Processes that share the port and the threads.")
    ] = 1,
) -> None:
    """Serve the page and the HTTP API."""
    from whyscore.server import run_server

    if (tls_cert is None) != (tls_key is None):
        raise InputError("--tls-cert and --tls-key go together")
    tls = None if tls_cert is None or tls_key is None else (tls_cert, tls_key)
    run_server(host, port, model, read_settings(), workers, tls)


@app.command()
def demo(
    port: Annotated[int, typer.Option("--port", min=0, max=65535)] = 8000,
    stay: Annotated[
        bool | None,
        typer.Option(
            "--stay/--leave",
            help="Serve until Ctrl-C, or leave the server running and end; default: stay on a terminal.",
        ),
    ] = None,
    stop: Annotated[bool, typer.Option("--stop", help="Stop a demo server that was left running.")] = False,
) -> None:
    """Go the whole way on the shipped sample, ending in a served page."""
    from whyscore.demo import run_demo, stop_demo

    if stop:
        stop_demo(read_settings())
    else:
        run_demo(port, stay, read_settings())


def main() -> None:
    """Run the command line; a known fault is one sentence on stderr and its exit code."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    try:
        app(standalone_mode=True)
    except WhyscoreError as error:
        sys.stderr.write(f"whyscore: {error}\n")
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        sys.stderr.write("whyscore: stopped\n")
        raise SystemExit(130) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"whyscore: {place}{error.strerror or error}\n")
        raise SystemExit(2) from None
    except Exception as error:
        if os.environ.get("WHYSCORE_DEBUG"):
            raise
        # Its message may hold a comment's text: name the kind alone.
        sys.stderr.write(
            f"whyscore: an unexpected fault ({type(error).__name__}); "
            "please report it, with what WHYSCORE_DEBUG=1 shows\n"
        )
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()

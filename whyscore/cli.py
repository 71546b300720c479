"""The command line: parses, calls a room, shows what it gives. One place turns errors into exit codes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from data.errors import InputError, WhyscoreError
from data.settings import Settings
from whyscore import __version__
from whyscore.terminal import print_json, progress_bar, say

app = typer.Typer(
    name="whyscore",
    help="Reads the comments behind your scores and ranks the root causes of lost points.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

AsJson = Annotated[bool, typer.Option("--json", help="Print nothing but the result, as JSON.")]
ModelUri = Annotated[
    str | None,
    typer.Option("--model", help="A folder or an MLflow URI; default models:/reason-codes@champion."),
]
ScaleName = Annotated[
    str | None,
    typer.Option("--scale", help="Of the scores: nps (0-10), csat5 (1-5) or ces7 (1-7); default nps."),
]
Mapping = Annotated[
    list[str] | None, typer.Option("--map", help='FIELD="COLUMN", where the file names a field otherwise.')
]
DateFormat = Annotated[
    str | None, typer.Option("--date-format", help="Of responded_at, such as %d/%m/%Y; default ISO 8601.")
]


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(f"whyscore {__version__}")
        raise typer.Exit


def read_settings() -> Settings:
    """Give the settings; raises `InputError` naming the variable that is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = f"WHYSCORE_{first['loc'][0]}".upper() if first["loc"] else "WHYSCORE_*"
        raise InputError(f"the setting {name} is wrong: {first['msg'].lower()}") from None


def parse_mapping(pairs: list[str] | None) -> dict[str, str]:
    """Turn ``field=column`` pairs into a dict; raises `InputError` on one without ``=``."""
    found = {}
    for pair in pairs or []:
        name, equals, column = pair.partition("=")
        if not equals or not name.strip() or not column.strip():
            raise InputError(f"--map {pair!r} is not FIELD=COLUMN")
        found[name.strip()] = column.strip().strip('"')
    return found


@app.command()
def train(
    taxonomy: Annotated[Path, typer.Option("--taxonomy", help="The reason codes, YAML.")],
    annotations: Annotated[
        Path | None,
        typer.Argument(help="Annotated comments, JSON lines; without them the definitions are read."),
    ] = None,
    encoder: Annotated[
        str | None, typer.Option("--encoder", help="Folder or Hugging Face id; default the packaged one.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Same seed, same machine: same model.")] = 0,
    epochs: Annotated[int, typer.Option("--epochs", min=1, max=100, help="The most passes.")] = 6,
    promote: Annotated[
        bool, typer.Option("--promote/--no-promote", help="Make the new version the champion.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Train a reason-code model and register it."""
    from whyscore.training_commands import run_training

    run_training(annotations, taxonomy, encoder, seed, epochs, promote, as_json, read_settings())


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
    as_json: AsJson = False,
) -> None:
    """Tag the comments of a file with reason codes."""
    from data.scale import scale_named
    from model.operating_points import point_named
    from serving.batch import ReadOptions, tag_file
    from serving.tagging import load_tagger

    settings = read_settings()
    options = ReadOptions(scale_named(scale or settings.scale), parse_mapping(columns), date_format)
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
                "statuses": dict(summary.statuses),
            }
        )
        return
    counts = ", ".join(f"{count} {status}" for status, count in sorted(summary.statuses.items()))
    say(f"{summary.rows} responses tagged by {tagger.name} ({counts}) -> {output}")
    if summary.replaced:
        say(f"{summary.replaced} rows were replaced by a later row with the same response_id")
    if summary.resumed:
        say(f"{summary.resumed} rows had been tagged by an interrupted run and were kept")


@app.command()
def rank(
    tags: Annotated[Path, typer.Argument(help="A tags file, as `whyscore tag` writes it.")],
    by: Annotated[str | None, typer.Option("--by", help="Rank within each value of this segment.")] = None,
    scale: ScaleName = None,
    taxonomy: Annotated[
        Path | None, typer.Option("--taxonomy", help="For the report's labels, and codes nobody mentions.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Also write the ranking: .json, .csv or .html.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Rank the root causes of lost points, with intervals."""
    from data.scale import scale_named
    from whyscore.ranking_commands import run_ranking

    run_ranking(tags, by, scale_named(scale or read_settings().scale), taxonomy, output, as_json)


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


models = typer.Typer(
    help="List, promote, roll back and compare the versions of the model.", no_args_is_help=True
)
app.add_typer(models, name="models")


@models.command("list")
def models_list(as_json: AsJson = False) -> None:
    """List the registered versions, newest first."""
    from whyscore.training_commands import run_list

    run_list(as_json, read_settings())


@models.command("promote")
def models_promote(version: Annotated[int, typer.Argument(min=1)], as_json: AsJson = False) -> None:
    """Make a version the champion."""
    from whyscore.training_commands import run_promotion

    run_promotion(version, as_json, read_settings())


@models.command("rollback")
def models_rollback(as_json: AsJson = False) -> None:
    """Make the former champion the champion again."""
    from whyscore.training_commands import run_promotion

    run_promotion(None, as_json, read_settings())


@models.command("compare")
def models_compare(
    a: Annotated[int, typer.Argument(min=1)],
    b: Annotated[int, typer.Argument(min=1)],
    as_json: AsJson = False,
) -> None:
    """Compare the held-out figures of two versions, code by code."""
    from whyscore.training_commands import run_comparison

    run_comparison(a, b, as_json, read_settings())


@app.command()
def serve(
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535)] = 8000,
    model: ModelUri = None,
) -> None:
    """Serve the page and the HTTP API."""
    from whyscore.server import run_server

    run_server(host, port, model, read_settings())


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

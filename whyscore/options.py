"""What several commands take alike: their options, and the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from data.errors import InputError
from data.settings import Settings

AsJson = Annotated[bool, typer.Option("--json", help="Print nothing but the result, as JSON.")]
ModelUri = Annotated[
    str | None,
    typer.Option("--model", help="A folder or an MLflow URI; default models:/reason-codes@champion."),
]
ScaleName = Annotated[
    str | None,
    typer.Option(
        "--scale", help="Of the scores: nps (0-10), csat5 (1-5) or ces7 (1-7); default WHYSCORE_SCALE."
    ),
]
Mapping = Annotated[
    list[str] | None, typer.Option("--map", help='FIELD="COLUMN", where the file names a field otherwise.')
]
DateFormat = Annotated[
    str | None, typer.Option("--date-format", help="Of responded_at, such as %d/%m/%Y; default ISO 8601.")
]
EncoderName = Annotated[
    str | None, typer.Option("--encoder", help="Folder or Hugging Face id; default the packaged one.")
]
Epochs = Annotated[
    int | None,
    typer.Option(
        "--epochs", min=1, max=100, help="Passes over the comments; else 3, more of few or of many codes."
    ),
]
TeacherModel = Annotated[
    str | None,
    typer.Option("--teacher", help="A model to learn from as well, usually of a larger encoder."),
]
Unreviewed = Annotated[
    Path | None,
    typer.Option("--unreviewed", help="With --teacher: responses that nobody annotated, for it to read."),
]
Window = Annotated[
    str | None,
    typer.Option(
        "--window", help="Only responses of this time: 2026-04, 2026-Q2, or 2026-04-06..2026-05-03."
    ),
]


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

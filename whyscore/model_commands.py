"""``models``: the versions of the registered model."""

from __future__ import annotations

from typing import Annotated

import typer

from data.errors import InputError
from whyscore.options import AsJson, read_settings

models = typer.Typer(
    help="List, promote, challenge, roll back and compare the versions of the model.", no_args_is_help=True
)


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


@models.command("challenge")
def models_challenge(
    version: Annotated[int | None, typer.Argument(min=1)] = None,
    none: Annotated[bool, typer.Option("--none", help="Let there be no challenger.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a version the challenger: servers compare it with the champion, and answer with the champion."""
    from whyscore.training_commands import run_challenge

    if (version is None) != none:
        raise InputError("name the version that is to be the challenger, or say --none")
    run_challenge(version, as_json, read_settings())


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

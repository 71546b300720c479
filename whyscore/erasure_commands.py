"""``erase``: a respondent out of the store and out of named files."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from whyscore.options import AsJson, read_settings
from whyscore.terminal import print_json, say


def erase(
    respondent: Annotated[str, typer.Option("--respondent", help="The respondent_id, as in the responses.")],
    audit: Annotated[
        list[Path] | None, typer.Option("--audit", help="A labelled audit to erase from too; again for more.")
    ] = None,
    annotations: Annotated[
        list[Path] | None,
        typer.Option("--annotations", help="An annotations file to erase from too; again for more."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Erase a respondent's answers, and refuse them from now on."""
    from data.audit_trail import AuditTrail, read_trail_key
    from data.erasure import erase_respondent
    from data.follow_ups import FollowUps
    from data.store import Store

    settings = read_settings()
    files = [*(audit or ()), *(annotations or ())]
    trail = AuditTrail(read_trail_key(settings.audit_key or settings.home / "audit.key"))
    with Store.open(settings.store, erasure_key=settings.home / "erasure.key") as store:
        follow_ups = FollowUps(store, trail)
        store.on_delete(lambda connection, ids: follow_ups.drop(connection, ids, datetime.now(UTC)))
        counts = erase_respondent(respondent, store, settings.home, files)
    if as_json:
        print_json(asdict(counts))
        return
    say(
        f"Erased {counts.responses} responses with {counts.tags} tags, {counts.annotations} annotations, "
        f"{counts.audit_items} items of audit logs and {counts.file_rows} rows of files; "
        "nothing of this respondent is stored from now on"
    )


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(erase)

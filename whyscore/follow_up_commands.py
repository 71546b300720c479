"""``follow-ups``: what is to be done, whether the audit trail holds, and whether it helped."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, get_args

import typer

from data.errors import InputError, WhyscoreError
from data.settings import Settings
from whyscore.options import AsJson, read_settings
from whyscore.terminal import print_json, print_table, say

follow_ups = typer.Typer(
    help="List follow-ups, verify their audit trail, and report whether they helped.", no_args_is_help=True
)


class BrokenTrailError(WhyscoreError):
    """An audit trail that is not as it was written."""


@follow_ups.command("list")
def list_(
    state: Annotated[str | None, typer.Option("--state", help="Such as open or acknowledged.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="contact, label or thank.")] = None,
    owner: Annotated[str | None, typer.Option("--owner", help="Only this owner's.")] = None,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only those past their deadline.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="The most to list.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List follow-ups, newest first."""
    from data.audit_trail import AuditTrail
    from data.follow_up_pages import FollowUpFilter
    from data.follow_ups import FollowUps, Kind, State
    from data.store import Store

    for name, value, known in (("state", state, get_args(State)), ("kind", kind, get_args(Kind))):
        if value is not None and value not in known:
            raise InputError(f"--{name} is one of {', '.join(known)}")
    wanted = FollowUpFilter(state, kind, owner, overdue=overdue)  # type: ignore[arg-type]  # checked above
    with Store.open(read_settings().store) as store:
        page = FollowUps(store, AuditTrail(b"")).page(wanted, limit, None, datetime.now(UTC))
    if as_json:
        print_json([row.to_record() for row in page.rows])
        return
    rows = [
        [
            row.follow_up_id,
            row.kind,
            row.state,
            row.owner or "",
            "" if row.score is None else f"{row.score:g}",
            row.opened_at.isoformat(timespec="minutes"),
            "" if row.due_at is None else row.due_at.isoformat(timespec="minutes"),
            row.response_id,
        ]
        for row in page.rows
    ]
    print_table(
        "Follow-ups", ["id", "kind", "state", "owner", "score", "opened", "due", "response"], rows, {4}
    )
    if page.cursor:
        say(f"There are more; --limit {limit} were asked for.")


@follow_ups.command("verify")
def verify(as_json: AsJson = False) -> None:
    """Check that the audit trail is as it was written; ends with 1 where it is not."""
    from data.audit_trail import AuditTrail, read_trail_key
    from data.store import Store

    settings = read_settings()
    path = _key_path(settings)
    if not path.exists():
        raise InputError("there is no key of the audit trail", file=path)
    with Store.open(settings.store) as store, store.reading() as connection:
        check = AuditTrail(read_trail_key(path)).verify(connection)
    if as_json:
        print_json({"rows": check.rows, "head": check.head, "fault": check.fault})
        if check.fault:
            raise typer.Exit(1)
        return
    if check.fault:
        raise BrokenTrailError(f"the audit trail is broken: {check.fault}")
    say(f"The audit trail holds: {check.rows} rows, of which the last has the hash {check.head}")


@follow_ups.command("report")
def report(as_json: AsJson = False) -> None:
    """Compare the next scores of detractors who were followed up with those who were not."""
    from data.follow_up_pairs import read_pairs
    from data.scale import scale_named
    from data.store import Store
    from model.follow_up_effect import follow_up_effect

    settings = read_settings()
    with Store.open(settings.store) as store:
        found = read_pairs(store, scale_named(settings.scale))
    pairs = found.pairs
    effect = follow_up_effect(
        [p.before for p in pairs], [p.after for p in pairs], [p.followed for p in pairs]
    )
    if as_json:
        print_json(effect.to_dict() | {"too_late": found.too_late})
        return
    rows = [
        [name, str(group.n), *map(_figure, (group.before, group.after, group.change, group.low, group.high))]
        for name, group in (("followed up", effect.followed), ("not followed up", effect.not_followed))
    ]
    for name, one in (("difference", effect.difference), ("with equal first score", effect.adjusted)):
        if one is not None:
            rows.append([name, "", "", "", *map(_figure, (one.estimate, one.low, one.high))])
    columns = ["detractors", "n", "first score", "next score", "change", "from", "to"]
    print_table("Did the next score rise", columns, rows, set(range(1, 7)))
    for note in effect.notes:
        say(note)
    if found.too_late:
        say(f"{found.too_late} were left out: they had answered again before anybody spoke to them.")


def _key_path(settings: Settings) -> Path:
    return settings.audit_key or settings.home / "audit.key"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"

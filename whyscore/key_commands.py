"""``keys``: the API keys of the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from whyscore.options import AsJson, read_settings
from whyscore.terminal import print_json, print_table, say

if TYPE_CHECKING:
    from data.api_keys import ApiKey, ApiKeys

keys = typer.Typer(help="Create, list, rotate and revoke the API keys of the store.", no_args_is_help=True)

KeyId = Annotated[str, typer.Argument(help="The key's id, as `keys list` shows it.")]


@keys.command("create")
def keys_create(
    name: Annotated[str, typer.Argument(help="What people call it, such as the program that uses it.")],
    scopes: Annotated[
        list[str], typer.Option("--scope", help="read, tag, write or admin (which is all); may be repeated.")
    ],
    days: Annotated[
        float | None, typer.Option("--days", min=0, max=36_500, help="Ends by itself after so many days.")
    ] = None,
    rate: Annotated[
        str | None, typer.Option("--rate", help="Its own rate limit, such as 600/minute, or none.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it; nobody can show it again. From the first one on the API asks for keys."""
    from data.rates import parse_rate

    if rate is not None:
        parse_rate(rate)
    end = None if days is None else datetime.now(UTC) + timedelta(days=days)
    with _keys() as store:
        key, text = store.create(name, scopes, expires_at=end, rate=rate)
    _show(key, text, as_json)


@keys.command("list")
def keys_list(as_json: AsJson = False) -> None:
    """List all keys, without their secrets."""
    from serving.endpoints_keys import record_of

    with _keys() as store:
        records = [record_of(key) for key in store.all()]
    if as_json:
        print_json(records)
        return
    columns = ["key_id", "name", "scopes", "status", "created_at", "expires_at", "last_used_at"]
    rows = [
        [", ".join(cell) if isinstance(cell := record[name], list) else str(cell or "") for name in columns]
        for record in records
    ]
    print_table("API keys", ["id", "name", "scopes", "status", "created", "ends", "last used"], rows)


@keys.command("rotate")
def keys_rotate(
    key_id: KeyId,
    grace_hours: Annotated[
        float, typer.Option("--grace-hours", min=0, max=8_760, help="How long the secret before stays good.")
    ] = 24.0,
    as_json: AsJson = False,
) -> None:
    """Give a key another secret and print it; the one before stays good for a while."""
    with _keys() as store:
        key, text = store.rotate(key_id, timedelta(hours=grace_hours))
    _show(key, text, as_json)


@keys.command("revoke")
def keys_revoke(key_id: KeyId, as_json: AsJson = False) -> None:
    """End a key for good."""
    from serving.endpoints_keys import record_of

    with _keys() as store:
        key = store.revoke(key_id)
    if as_json:
        print_json(record_of(key))
    else:
        say(f"The key {key.key_id} ({key.name}) lets nobody in any more")


@contextmanager
def _keys() -> Iterator[ApiKeys]:
    from data.api_keys import ApiKeys
    from data.store import Store

    with Store.open(read_settings().store) as store:
        yield ApiKeys(store.engine)


def _show(key: ApiKey, text: str, as_json: bool) -> None:
    from serving.endpoints_keys import record_of

    if as_json:
        print_json(record_of(key) | {"key": text})
        return
    say(f"The key {key.key_id} ({key.name}; {', '.join(key.scopes)}). Keep it: nobody can show it again.")
    typer.echo(text)

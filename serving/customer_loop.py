"""What follows from a response: follow-ups and messages, written with it or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, cast

from fastapi import Depends, Request
from sqlalchemy import Connection

from data.audit_trail import AuditTrail, read_trail_key
from data.follow_ups import FollowUps
from data.scale import Scale
from data.settings import Settings
from data.source_notices import SourceNotices
from data.store import Store
from data.tags import TaggedResponse
from data.webhook_outbox import Outbox, announce
from serving.connectors.configuration import Connectors, read_connectors
from serving.follow_up_rules import FollowUpRules, read_rules


def utc_now() -> datetime:
    """Give this moment."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class CustomerLoop:
    """The parts that close the loop with customers.

    Attributes
    ----------
    rules, follow_ups
        What responses ask for, and what became of it.
    outbox
        Webhooks that leave.
    connectors
        Sources of webhooks that come in.
    notices
        What they have named, and is still to be fetched.
    now
        The clock.
    """

    rules: FollowUpRules
    follow_ups: FollowUps
    outbox: Outbox
    connectors: Connectors
    notices: SourceNotices
    now: Callable[[], datetime] = utc_now

    def attach(self, store: Store) -> None:
        """Have every write and every deletion of responses do what follows, in the same transaction."""
        store.on_upsert(self._follow)
        store.on_delete(lambda connection, ids: self.follow_ups.drop(connection, ids, self.now()))

    def _follow(
        self,
        connection: Connection,
        changed: Sequence[TaggedResponse],
        before: Mapping[str, TaggedResponse],
    ) -> None:
        now = self.now()
        announce(connection, "response.tagged", [told(row) for row in changed], now)
        openings = [opening for row in changed for opening in self.rules.openings(row, now)]
        if openings:
            self.follow_ups.open(connection, openings, now)


def make_loop(settings: Settings, store: Store, scale: Scale) -> CustomerLoop:
    """Make the parts and attach them to a store.

    Raises
    ------
    WhyscoreError
        If a file of settings is not there or cannot be understood.
    """
    trail = AuditTrail(read_trail_key(trail_key_path(settings)))
    loop = CustomerLoop(
        read_rules(settings.follow_ups, scale),
        FollowUps(store, trail, announce),
        Outbox(store, settings.webhook_attempts),
        read_connectors(settings.connectors),
        SourceNotices(store),
    )
    loop.attach(store)
    return loop


def trail_key_path(settings: Settings) -> Path:
    """Give where the key of the audit trail is."""
    return settings.audit_key or settings.home / "audit.key"


def told(row: TaggedResponse) -> dict[str, Any]:
    """Give a tagged response as a message tells it: no comment, no evidence, nobody's name."""
    moment = row.response.responded_at
    return {
        "response_id": row.response.response_id,
        "score": row.response.score,
        "responded_at": None if moment is None else moment.isoformat(),
        "status": row.status,
        "tags": [
            {"code": tag.code, "polarity": tag.polarity, "probability": tag.probability} for tag in row.tags
        ],
        "model": row.model,
        "taxonomy_version": row.taxonomy_version,
    }


def announce_promotion(store: Store, model: str, before: str | None) -> int:
    """Tell those who want to know that a model is the champion now; give how many.

    Parameters
    ----------
    store
        Where subscriptions are.
    model, before
        The champion now and before, such as ``reason-codes/7``.
    """
    with store.writing() as connection:
        return announce(connection, "model.promoted", [{"model": model, "before": before}])


def _loop(request: Request) -> CustomerLoop:
    return cast(CustomerLoop, request.app.state.loop)


Loop = Annotated[CustomerLoop, Depends(_loop)]

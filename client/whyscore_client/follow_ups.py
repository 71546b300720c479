"""Follow-ups: who speaks to which customer, what was done, and whether it helped."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Unpack

from whyscore_client import service_models as s
from whyscore_client.calls import get, segment, send_json
from whyscore_client.filters import FollowUpFilter
from whyscore_client.sending import AsyncSends, Sends


class FollowUpMethods(Sends):
    """What a client does with follow-ups."""

    def list_follow_ups(self, **wanted: Unpack[FollowUpFilter]) -> s.FollowUpsPage:
        """Give a page of the follow-ups that meet every condition that is set, newest first."""
        reply: s.FollowUpsPage = self._send(get("/v1/follow-ups", s.FollowUpsPage, **wanted))
        return reply

    def iter_follow_ups(self, **wanted: Unpack[FollowUpFilter]) -> Iterator[s.FollowUp]:
        """Yield all follow-ups that meet the conditions, page by page."""
        page = self.list_follow_ups(**wanted)
        while True:
            yield from page.follow_ups
            if page.next_cursor is None:
                return
            wanted["cursor"] = page.next_cursor
            page = self.list_follow_ups(**wanted)

    def get_follow_up(self, follow_up_id: str) -> s.FollowUpHistory:
        """Give a follow-up with everything that was done."""
        path = f"/v1/follow-ups/{segment(follow_up_id)}"
        reply: s.FollowUpHistory = self._send(get(path, s.FollowUpHistory))
        return reply

    def move_follow_up(
        self,
        follow_up_id: str,
        state: s.FollowUpState,
        actor: str,
        *,
        outcome: s.Outcome | None = None,
        note: str | None = None,
    ) -> s.FollowUp:
        """Acknowledge, resolve, close or reopen a follow-up; the end needs an outcome."""
        body = {"state": state, "actor": actor, "outcome": outcome, "note": note}
        path = f"/v1/follow-ups/{segment(follow_up_id)}/transitions"
        reply: s.FollowUp = self._send(send_json("POST", path, body, s.FollowUp, keyed=True))
        return reply

    def assign_follow_up(self, follow_up_id: str, owner: str | None, actor: str) -> s.FollowUp:
        """Give a follow-up another owner; None for nobody yet."""
        path = f"/v1/follow-ups/{segment(follow_up_id)}/assignment"
        body = {"owner": owner, "actor": actor}
        reply: s.FollowUp = self._send(send_json("POST", path, body, s.FollowUp, keyed=True))
        return reply

    def note_follow_up(self, follow_up_id: str, text: str, actor: str) -> s.FollowUp:
        """Add a note to a follow-up's history."""
        path = f"/v1/follow-ups/{segment(follow_up_id)}/notes"
        body = {"text": text, "actor": actor}
        reply: s.FollowUp = self._send(send_json("POST", path, body, s.FollowUp, keyed=True))
        return reply

    def get_follow_up_report(self) -> s.FollowUpReport:
        """Tell whether customers who were followed up score higher next time, beside those who were not."""
        reply: s.FollowUpReport = self._send(get("/v1/follow-up-report", s.FollowUpReport))
        return reply


class AsyncFollowUpMethods(AsyncSends):
    """What a client does with follow-ups."""

    async def list_follow_ups(self, **wanted: Unpack[FollowUpFilter]) -> s.FollowUpsPage:
        """Give a page of the follow-ups that meet every condition that is set, newest first."""
        reply: s.FollowUpsPage = await self._send(get("/v1/follow-ups", s.FollowUpsPage, **wanted))
        return reply

    async def iter_follow_ups(self, **wanted: Unpack[FollowUpFilter]) -> AsyncIterator[s.FollowUp]:
        """Yield all follow-ups that meet the conditions, page by page."""
        page = await self.list_follow_ups(**wanted)
        while True:
            for one in page.follow_ups:
                yield one
            if page.next_cursor is None:
                return
            wanted["cursor"] = page.next_cursor
            page = await self.list_follow_ups(**wanted)

    async def get_follow_up(self, follow_up_id: str) -> s.FollowUpHistory:
        """Give a follow-up with everything that was done."""
        path = f"/v1/follow-ups/{segment(follow_up_id)}"
        reply: s.FollowUpHistory = await self._send(get(path, s.FollowUpHistory))
        return reply

    async def move_follow_up(
        self,
        follow_up_id: str,
        state: s.FollowUpState,
        actor: str,
        *,
        outcome: s.Outcome | None = None,
        note: str | None = None,
    ) -> s.FollowUp:
        """Acknowledge, resolve, close or reopen a follow-up; the end needs an outcome."""
        body = {"state": state, "actor": actor, "outcome": outcome, "note": note}
        path = f"/v1/follow-ups/{segment(follow_up_id)}/transitions"
        reply: s.FollowUp = await self._send(send_json("POST", path, body, s.FollowUp, keyed=True))
        return reply

    async def assign_follow_up(self, follow_up_id: str, owner: str | None, actor: str) -> s.FollowUp:
        """Give a follow-up another owner; None for nobody yet."""
        path = f"/v1/follow-ups/{segment(follow_up_id)}/assignment"
        body = {"owner": owner, "actor": actor}
        reply: s.FollowUp = await self._send(send_json("POST", path, body, s.FollowUp, keyed=True))
        return reply

    async def note_follow_up(self, follow_up_id: str, text: str, actor: str) -> s.FollowUp:
        """Add a note to a follow-up's history."""
        path = f"/v1/follow-ups/{segment(follow_up_id)}/notes"
        body = {"text": text, "actor": actor}
        reply: s.FollowUp = await self._send(send_json("POST", path, body, s.FollowUp, keyed=True))
        return reply

    async def get_follow_up_report(self) -> s.FollowUpReport:
        """Tell whether customers who were followed up score higher next time, beside those who were not."""
        reply: s.FollowUpReport = await self._send(get("/v1/follow-up-report", s.FollowUpReport))
        return reply

"""API keys: made, listed, rotated and revoked by whoever has the scope admin."""

from __future__ import annotations

from collections.abc import Sequence

from whyscore_client import service_models as s
from whyscore_client.calls import Call, get, reply_as, segment, send_json
from whyscore_client.sending import AsyncSends, Sends


class KeyMethods(Sends):
    """What a client does with API keys."""

    def list_keys(self) -> s.ApiKeys:
        """List all API keys, those revoked among them, without their secrets."""
        reply: s.ApiKeys = self._send(get("/v1/keys", s.ApiKeys))
        return reply

    def create_key(
        self,
        name: str,
        scopes: Sequence[s.Scope],
        *,
        expires_in_days: float | None = None,
        rate: str | None = None,
    ) -> s.NewApiKey:
        """Make an API key; the reply shows it this once. With the first one the API closes to all others."""
        body = {"name": name, "scopes": scopes, "expires_in_days": expires_in_days, "rate": rate}
        reply: s.NewApiKey = self._send(send_json("POST", "/v1/keys", body, s.NewApiKey, once=True))
        return reply

    def rotate_key(self, key_id: str, *, grace_hours: float = 24.0) -> s.NewApiKey:
        """Give an API key another secret; the one before stays good for a while."""
        path = f"/v1/keys/{segment(key_id)}/rotate"
        call = send_json("POST", path, {"grace_hours": grace_hours}, s.NewApiKey, once=True)
        reply: s.NewApiKey = self._send(call)
        return reply

    def revoke_key(self, key_id: str) -> s.ApiKeys:
        """End an API key for good; the reply's one key is that one."""
        reply: s.ApiKeys = self._send(Call("DELETE", f"/v1/keys/{segment(key_id)}", reply_as(s.ApiKeys)))
        return reply


class AsyncKeyMethods(AsyncSends):
    """What a client does with API keys."""

    async def list_keys(self) -> s.ApiKeys:
        """List all API keys, those revoked among them, without their secrets."""
        reply: s.ApiKeys = await self._send(get("/v1/keys", s.ApiKeys))
        return reply

    async def create_key(
        self,
        name: str,
        scopes: Sequence[s.Scope],
        *,
        expires_in_days: float | None = None,
        rate: str | None = None,
    ) -> s.NewApiKey:
        """Make an API key; the reply shows it this once. With the first one the API closes to all others."""
        body = {"name": name, "scopes": scopes, "expires_in_days": expires_in_days, "rate": rate}
        reply: s.NewApiKey = await self._send(send_json("POST", "/v1/keys", body, s.NewApiKey, once=True))
        return reply

    async def rotate_key(self, key_id: str, *, grace_hours: float = 24.0) -> s.NewApiKey:
        """Give an API key another secret; the one before stays good for a while."""
        path = f"/v1/keys/{segment(key_id)}/rotate"
        call = send_json("POST", path, {"grace_hours": grace_hours}, s.NewApiKey, once=True)
        reply: s.NewApiKey = await self._send(call)
        return reply

    async def revoke_key(self, key_id: str) -> s.ApiKeys:
        """End an API key for good; the reply's one key is that one."""
        reply: s.ApiKeys = await self._send(
            Call("DELETE", f"/v1/keys/{segment(key_id)}", reply_as(s.ApiKeys))
        )
        return reply

"""Versions of the model: listed, promoted, rolled back, pinned, and watched in the shadow."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence

from whyscore_client import models as m
from whyscore_client import service_models as s
from whyscore_client.calls import Call, get, new_key, reply_as, send_json
from whyscore_client.filters import Items, tag_request
from whyscore_client.sending import AsyncSends, Sends


class ModelMethods(Sends):
    """What a client does with versions of the model."""

    def list_models(self, limit: int | None = None, cursor: str | None = None) -> s.ModelsPage:
        """Give a page of the versions of the model."""
        reply: s.ModelsPage = self._send(get("/v1/models", s.ModelsPage, limit=limit, cursor=cursor))
        return reply

    def iter_models(self) -> Iterator[s.ModelVersion]:
        """Yield the versions of the model, newest first."""
        page = self.list_models()
        while True:
            yield from page.models
            if page.next_cursor is None:
                return
            page = self.list_models(cursor=page.next_cursor)

    def get_model(self, version: int) -> s.ModelVersion:
        """Give a version of the model."""
        reply: s.ModelVersion = self._send(get(f"/v1/models/{version}", s.ModelVersion))
        return reply

    def promote_model(self, version: int) -> s.Champion:
        """Make a version the champion."""
        path = f"/v1/models/{version}/promote"
        reply: s.Champion = self._send(Call("POST", path, reply_as(s.Champion), headers=new_key()))
        return reply

    def roll_back_model(self) -> s.Champion:
        """Make the champion before the present one the champion again."""
        path = "/v1/models/rollback"
        reply: s.Champion = self._send(Call("POST", path, reply_as(s.Champion), headers=new_key()))
        return reply

    def tag_with_version(
        self,
        version: int,
        responses: Items,
        operating_point: m.OperatingPoint = "balanced",
        *,
        mask: Sequence[str] = (),
    ) -> m.TagReply:
        """Tag up to 1,000 responses with one version of the model, whichever serves; nothing is stored."""
        body = tag_request(responses, operating_point, mask)
        reply: m.TagReply = self._send(send_json("POST", f"/v1/models/{version}/tag", body, m.TagReply))
        return reply

    def get_serving_model(self) -> s.ServingModel:
        """Tell which model tags, since when, and what keeps a newer one from it."""
        reply: s.ServingModel = self._send(get("/v1/models/serving", s.ServingModel))
        return reply

    def get_shadow_report(self) -> s.ShadowReport:
        """Tell how far the challenger agrees with the champion, code by code."""
        reply: s.ShadowReport = self._send(get("/v1/models/shadow", s.ShadowReport))
        return reply


class AsyncModelMethods(AsyncSends):
    """What a client does with versions of the model."""

    async def list_models(self, limit: int | None = None, cursor: str | None = None) -> s.ModelsPage:
        """Give a page of the versions of the model."""
        reply: s.ModelsPage = await self._send(get("/v1/models", s.ModelsPage, limit=limit, cursor=cursor))
        return reply

    async def iter_models(self) -> AsyncIterator[s.ModelVersion]:
        """Yield the versions of the model, newest first."""
        page = await self.list_models()
        while True:
            for one in page.models:
                yield one
            if page.next_cursor is None:
                return
            page = await self.list_models(cursor=page.next_cursor)

    async def get_model(self, version: int) -> s.ModelVersion:
        """Give a version of the model."""
        reply: s.ModelVersion = await self._send(get(f"/v1/models/{version}", s.ModelVersion))
        return reply

    async def promote_model(self, version: int) -> s.Champion:
        """Make a version the champion."""
        path = f"/v1/models/{version}/promote"
        reply: s.Champion = await self._send(Call("POST", path, reply_as(s.Champion), headers=new_key()))
        return reply

    async def roll_back_model(self) -> s.Champion:
        """Make the champion before the present one the champion again."""
        path = "/v1/models/rollback"
        reply: s.Champion = await self._send(Call("POST", path, reply_as(s.Champion), headers=new_key()))
        return reply

    async def tag_with_version(
        self,
        version: int,
        responses: Items,
        operating_point: m.OperatingPoint = "balanced",
        *,
        mask: Sequence[str] = (),
    ) -> m.TagReply:
        """Tag up to 1,000 responses with one version of the model, whichever serves; nothing is stored."""
        body = tag_request(responses, operating_point, mask)
        reply: m.TagReply = await self._send(send_json("POST", f"/v1/models/{version}/tag", body, m.TagReply))
        return reply

    async def get_serving_model(self) -> s.ServingModel:
        """Tell which model tags, since when, and what keeps a newer one from it."""
        reply: s.ServingModel = await self._send(get("/v1/models/serving", s.ServingModel))
        return reply

    async def get_shadow_report(self) -> s.ShadowReport:
        """Tell how far the challenger agrees with the champion, code by code."""
        reply: s.ShadowReport = await self._send(get("/v1/models/shadow", s.ShadowReport))
        return reply

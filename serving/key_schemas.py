"""What the HTTP API takes and gives about API keys and sessions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from data.api_keys import MAX_NAME, Scope

IsoMoment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class _Request(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class KeyRequest(_Request):
    """A key to make."""

    name: str = Field(min_length=1, max_length=MAX_NAME, description="What people call it.", examples=["crm"])
    scopes: list[Scope] = Field(min_length=1, max_length=20, description="What it may do; admin is all.")
    expires_in_days: float | None = Field(
        None, gt=0, le=36_500, description="When it ends by itself; never where null."
    )
    rate: str | None = Field(
        None,
        max_length=32,
        description="Its own rate limit; the server's where null.",
        examples=["600/minute"],
    )


class RotationRequest(_Request):
    """How a key gets another secret."""

    grace_hours: float = Field(
        24.0, ge=0, le=8_760, description="How long the secret before stays good; 0 ends it at once."
    )


class SessionRequest(_Request):
    """The key that a browser shows once."""

    key: str = Field(max_length=200, description="An API key.")


class KeyRecord(BaseModel):
    """A key, without its secret."""

    key_id: str = Field(description="Names the key; its public part.")
    name: str = Field(description="What people call it.")
    scopes: list[Scope] = Field(description="What it may do; admin is all.")
    status: Literal["good", "revoked", "expired"] = Field(description="Whether it lets anybody in.")
    rate: str | None = Field(description="Its own rate limit; the server's where null.")
    created_at: IsoMoment = Field(description="When it was made.")
    expires_at: IsoMoment | None = Field(description="When it ends by itself.")
    revoked_at: IsoMoment | None = Field(description="When it was revoked.")
    previous_until: IsoMoment | None = Field(description="Until when the secret before is good.")
    last_used_at: IsoMoment | None = Field(description="The hour in which it was last used.")


class NewKeyReply(KeyRecord):
    """A key with its secret, which is shown this once."""

    key: str = Field(description="The key itself, `wsk_<id>_<secret>`; keep it, nobody can show it again.")


class KeysReply(BaseModel):
    """All keys."""

    keys: list[KeyRecord] = Field(description="The keys, newest first, those revoked among them.")


class SessionReply(BaseModel):
    """A browser's session; its name is in a cookie that scripts cannot read."""

    active: bool = Field(description="Whether there is one now.")
    scopes: list[Scope] = Field(description="What it may do.")

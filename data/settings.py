"""Every setting in one place, read from the environment as ``WHYSCORE_*`` and checked at start."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from data.personal_data import parse_kinds
from data.setting_texts import check_setting, parts_of


class Settings(BaseSettings):
    """The product's settings; units are in the names. ``MLFLOW_*`` and ``HF_*`` keep their own meaning."""

    model_config = SettingsConfigDict(
        env_prefix="WHYSCORE_",
        env_ignore_empty=True,  # compose files pass unset variables on as empty ones
        extra="ignore",
        frozen=True,
    )

    home: Path = Field(
        Path("whyscore-home"), description="Folder of the store and the model registry, made when first used."
    )
    store_url: str | None = Field(
        None, description="SQLAlchemy URL of the store; SQLite in the home folder where it is not set."
    )
    registry_uri: str | None = Field(
        None,
        description="MLflow tracking and registry URI; MLFLOW_TRACKING_URI, then SQLite in the home folder, "
        "where it is not set.",
    )
    model_name: str = Field("reason-codes", description="Name of the registered model.")
    threads: int | None = Field(
        None,
        ge=1,
        description="Threads for tagging, training and ranking; all cores where it is not set.",
    )
    engine: Literal["auto", "onnx", "onnx-int8", "openvino", "openvino-bf16", "openvino-int8"] = Field(
        "auto",
        description="What computes when tagging; auto takes the quickest on this processor, measured when a "
        "model is first loaded, of those that lose no quality.",
    )
    queue_tokens: int = Field(
        65_536,
        ge=1024,
        description="Tokens of comments that may wait to be tagged over HTTP; above that requests get 429.",
    )
    request_timeout_s: float = Field(
        30.0, gt=0, le=3600, description="A request for tags that takes longer gets 503."
    )
    shutdown_timeout_s: float = Field(
        20.0, gt=0, le=600, description="How long a server that is told to stop finishes what it has begun."
    )
    memory_mb: int = Field(
        1024,
        ge=64,
        description="Memory for the database that ranks a Parquet file, in MB; beyond it, work goes to "
        "temporary files (TMPDIR).",
    )
    manifest_key: Path | None = Field(
        None,
        description="File with the key of the hashes in manifests; manifest.key in the home folder, made "
        "when first needed, where it is not set.",
    )
    max_tokens: int = Field(
        256, ge=16, le=512, description="Comments are read up to this many tokens; nearly all are shorter."
    )
    state_cache_mb: int = Field(
        2048,
        ge=0,
        description="What `states` in the home folder may hold: comments as an encoder read them, so that "
        "codes are added without reading them again (7,000 comments take 160 MB). Safe to delete.",
    )
    max_comment_chars: int = Field(
        20_000, ge=100, description="A longer comment is an error of its row, never of its batch."
    )
    max_body_mb: int = Field(32, ge=1, description="A larger HTTP body is refused with 413.")
    max_upload_mb: int = Field(
        4096,
        ge=1,
        description="A larger file is refused as a job with 413; also what may wait on disk of a stream.",
    )
    allow_remote: bool = Field(
        False,
        description="Let the server listen beyond this machine without an API key; put a guard in front of "
        "it first.",
    )
    require_key: bool = Field(
        False, description="Ask for an API key before there is any; from the first key on it is always asked."
    )
    rate_limit: str = Field(
        "60000/minute",
        description="Requests for each API key, or each address where none is needed, in each worker: a "
        "number per second, minute, hour or day, or none.",
    )
    body_seconds: float = Field(
        120.0, gt=0, description="A body that takes longer to arrive is refused with 408."
    )
    cors_origins: str | None = Field(
        None,
        description="Origins whose pages may call the API, such as https://app.example.com, with commas "
        "between; none where it is not set.",
    )
    trusted_proxies: str | None = Field(
        None,
        description="Addresses or networks of proxies whose X-Forwarded-For and X-Forwarded-Proto count, "
        "with commas between; none where it is not set.",
    )
    mask: str | None = Field(
        None,
        description="Personal data to mask before anything is stored: card, iban, email, phone (phone:GB for "
        "numbers as written there too), with commas between.",
    )
    follow_seconds: float = Field(
        2.0,
        ge=0,
        description="How often a server asks the registry for another champion, in seconds; 0 never.",
    )
    pinned_models: int = Field(
        2, ge=1, description="Versions kept loaded besides the champion, for requests that name one."
    )
    shadow: str | None = Field(
        None,
        description="Model that is compared with the champion in the background; the alias challenger "
        "of the registry where it is not set.",
    )
    shadow_share: float = Field(
        0.1, ge=0, le=1, description="Share of the comments that the challenger reads too; 0 none."
    )
    log: Literal["text", "json"] = Field(
        "text", description="Form of the server's log; json has a line for each request, without its texts."
    )
    scale: Literal["nps", "csat5", "ces7"] = Field(
        "nps", description="The scale of the scores in the store, and in files where --scale names none."
    )

    connectors: Path | None = Field(
        None,
        description="YAML file of the survey tools that may send responses here; none where it is not set.",
    )
    follow_ups: Path | None = Field(
        None, description="YAML file of the rules of follow-ups; the default rules where it is not set."
    )
    audit_key: Path | None = Field(
        None,
        description="File with the key of the follow-ups' audit trail; audit.key in the home folder, made "
        "when first needed, where it is not set. Servers that share a store share it.",
    )
    webhook_attempts: int = Field(
        14, ge=1, le=50, description="Tries to deliver a webhook before it is left for dead."
    )
    webhook_allow_private: bool = Field(
        False, description="Let webhooks go to this machine and private networks, also without encryption."
    )

    @field_validator("home")
    @classmethod
    def _expand(cls, home: Path) -> Path:
        return home.expanduser()

    @field_validator("rate_limit", "mask", "cors_origins", "trusted_proxies")
    @classmethod
    def _check_text(cls, text: str | None, info: ValidationInfo) -> str | None:
        if text is not None:
            check_setting(str(info.field_name), text)
        return text

    @property
    def store(self) -> str:
        """The store's URL."""
        return self.store_url or f"sqlite:///{(self.home / 'store.sqlite').resolve()}"

    @property
    def mask_kinds(self) -> tuple[str, ...]:
        """What to mask, as `data.personal_data.parse_kinds` gives it."""
        return parse_kinds(parts_of(self.mask))

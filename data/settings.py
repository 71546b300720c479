"""Every setting in one place, read from the environment as ``WHYSCORE_*`` and checked at start."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


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
    engine: Literal["auto", "onnx", "onnx-int8", "openvino", "openvino-bf16"] = Field(
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
    max_comment_chars: int = Field(
        20_000, ge=100, description="A longer comment is an error of its row, never of its batch."
    )
    max_body_mb: int = Field(32, ge=1, description="A larger HTTP body is refused with 413.")
    allow_remote: bool = Field(
        False, description="Let the server listen beyond this machine; put a guard in front of it first."
    )
    scale: Literal["nps", "csat5", "ces7"] = Field("nps", description="The scale of the scores in the store.")

    @field_validator("home")
    @classmethod
    def _expand(cls, home: Path) -> Path:
        return home.expanduser()

    @property
    def store(self) -> str:
        """The store's URL."""
        return self.store_url or f"sqlite:///{(self.home / 'store.sqlite').resolve()}"

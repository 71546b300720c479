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
    scale: Literal["nps", "csat5", "ces7"] = Field("nps", description="The scale of the scores in the store.")

    @field_validator("home")
    @classmethod
    def _expand(cls, home: Path) -> Path:
        return home.expanduser()

    @property
    def store(self) -> str:
        """The store's URL."""
        return self.store_url or f"sqlite:///{(self.home / 'store.sqlite').resolve()}"

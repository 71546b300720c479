"""``rank --manifest`` and ``rank --reproduce``: wiring from a ranking to its manifest, and back."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from data.audits import read_audit
from data.errors import InputError
from data.files import write_whole
from data.listing_changes import ChangedRows, compare_listings
from data.row_digests import DigestKey, read_key
from data.scale import scale_named
from data.scratch_database import DatabaseLimits
from data.settings import Settings
from model.audit_check import AuditCheck, seen_texts_behind
from model.manifest import (
    CodeRecord,
    FileRecord,
    Manifest,
    ResponsesRecord,
    SettingsRecord,
    figures_of,
    file_record,
    models_of,
    read_manifest,
)
from model.manifest_changes import REMARKS, Change, changes_between
from model.periods import parse_span
from model.tags_ranking import DigestsWanted, RankedTags, RankingSettings, rank_tags
from whyscore import __version__
from whyscore.terminal import print_json, progress_bar, say

_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class ManifestRequest:
    """Asks for a manifest.

    Attributes
    ----------
    settings
        Of the key and the registry.
    path
        Where to write it; None where a report alone holds it.
    listing
        Where to list the responses; None for nowhere.
    audit, model
        What ``--audit`` and ``--model`` say.
    """

    settings: Settings
    path: Path | None = None
    listing: Path | None = None
    audit: Path | None = None
    model: str | None = None

    @property
    def wanted(self) -> DigestsWanted:
        """What the ranking must note on its way."""
        return DigestsWanted(manifest_key(self.settings), self.listing)

    def manifest_of(
        self, tags: Path, report: Path | None, ranked: RankedTags, asked: RankingSettings
    ) -> dict[str, Any]:
        """Make the manifest of a ranking, write it where it is asked for, and give it as plain JSON values.

        Parameters
        ----------
        tags, report
            The tags file, and the report that holds the manifest if no file of its own does.
        ranked, asked
            The ranking with its digests, and what it was asked for.
        """
        beside = self.path or report or tags
        made = make_manifest(tags, beside, ranked, asked, self)
        if self.path is not None:
            text = json.dumps(made.to_dict(), indent=2, ensure_ascii=False) + "\n"
            write_whole(self.path, text.encode("utf-8", "replace"))
        return made.moved(beside, report or beside).to_dict()


def manifest_request(
    settings: Settings,
    tags: Path,
    manifest: Path | None,
    output: Path | None,
    list_rows: bool,
    audit: Path | None,
    model: str | None,
) -> ManifestRequest | None:
    """Tell whether a manifest is asked for: with ``--manifest``, or by a report in JSON.

    Raises
    ------
    InputError
        If there is nothing beside which to list the responses, or a file would be overwritten.
    """
    in_report = output is not None and output.suffix.lower() == ".json"
    beside = manifest if manifest is not None else output if in_report else None
    if beside is None:
        if list_rows:
            raise InputError("--list-rows lists the responses beside a manifest; say --manifest M.json too")
        return None
    for taken in (tags, audit):
        if manifest is not None and taken is not None and manifest.exists() and manifest.samefile(taken):
            raise InputError("the manifest would overwrite what it is of", file=manifest)
    listing = beside.with_name(f"{beside.stem}.rows.parquet") if list_rows else None
    return ManifestRequest(settings, manifest, listing, audit, model)


def manifest_key(settings: Settings) -> DigestKey:
    """Give the key of manifests; it is made when it is first needed."""
    return read_key(settings.manifest_key or settings.home / "manifest.key")


def make_manifest(
    tags: Path, beside: Path, ranked: RankedTags, settings: RankingSettings, request: ManifestRequest
) -> Manifest:
    """Describe what a ranking came from.

    Parameters
    ----------
    tags
        The tags file.
    beside
        Where the manifest will lie: paths are told from its folder.
    ranked
        The ranking, with its digests.
    settings
        What it was asked for.
    request
        Where other things are.
    """
    digests = ranked.digests
    assert digests is not None
    listing = None if request.listing is None else file_record(request.listing, beside)
    return Manifest(
        tags=file_record(tags, beside, whole=False),
        responses=ResponsesRecord(**digests.to_dict(), listing=listing),
        models=models_of(digests, request.model, request.settings),
        settings=SettingsRecord(
            scale=settings.scale.name,
            by=settings.by,
            window=None if settings.span is None else settings.span.name,
            codes=None if settings.codes is None else list(settings.codes),
            level=settings.level,
            seed=settings.seed,
        ),
        audit=None if request.audit is None else file_record(request.audit, beside),
        code=code_record(),
        figures=figures_of(ranked.overall, ranked.groups),
    )


def code_record() -> CodeRecord:
    """Name this program: its version and, in a clone, its commit."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(_ROOT), *arguments], capture_output=True, text=True, timeout=10, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    commit = git("rev-parse", "HEAD") if (_ROOT / ".git").exists() else None
    changes = None if commit is None else git("status", "--porcelain", "--untracked-files=no")
    return CodeRecord(version=__version__, commit=commit, changed=None if changes is None else bool(changes))


def run_reproduction(
    path: Path, tags: Path | None, model: str | None, as_json: bool, settings: Settings
) -> None:
    """Rank again as a manifest says, and tell what has changed; ends with 1 where it is not the same.

    Parameters
    ----------
    path
        The manifest, or a report in JSON that holds one.
    tags
        The tags file, where it is no longer where the manifest says.
    model
        Where the model of the tags is.
    """
    before = read_manifest(path)
    folder = path.resolve().parent
    source = tags if tags is not None else folder / before.tags.path
    audit = None if before.audit is None else folder / before.audit.path
    for what, needed in (("tags", source), ("audit", audit)):
        if needed is not None and not needed.is_file():
            remedy = (
                f"; if it was moved, say: whyscore rank FILE --reproduce {path}" if what == "tags" else ""
            )
            _tell(False, [f"The {what} file {needed} is not there{remedy}."], [], as_json)
    with progress_bar("Ranking again") as tell:
        after, rows = _ranked_again(before, path, source, audit, model, settings)
        tell(1, 1, "")
    changes = changes_between(before, after, rows)
    same = all(change.kind in REMARKS for change in changes)
    _tell(same, [], changes, as_json)


def _ranked_again(
    before: Manifest, path: Path, tags: Path, audit: Path | None, model: str | None, settings: Settings
) -> tuple[Manifest, dict[str, ChangedRows] | None]:
    """Rank with the settings of a manifest; give the manifest of now, and what changed of the rows."""
    asked, limits = before.settings, DatabaseLimits(settings.threads, settings.memory_mb)
    wanted = RankingSettings(
        scale_named(asked.scale),
        asked.by,
        None if asked.window is None else parse_span(asked.window),
        asked.codes,
        asked.level,
        asked.seed,
    )
    check = None
    if audit is not None:
        check = AuditCheck(read_audit(audit), seen_texts_behind(tags, model, settings))
    listed = _listing(before, path)
    with tempfile.TemporaryDirectory(prefix="whyscore-") as folder:
        listing = Path(folder) / "now.rows.parquet" if listed is not None else None
        request = ManifestRequest(settings, None, listing, audit, model)
        ranked = rank_tags(tags, wanted, check=check, wanted=request.wanted, limits=limits)
        after = make_manifest(tags, path, ranked, wanted, request)
        if listed is None or listing is None or before.responses.key != after.responses.key:
            return after, None
        return after, dict(compare_listings(listed, listing, limits))


def _listing(manifest: Manifest, path: Path) -> Path | None:
    """Find the listing of a manifest; None where it has none or it is not there any more."""
    record: FileRecord | None = manifest.responses.listing
    listing = None if record is None else path.resolve().parent / record.path
    return listing if listing is not None and listing.is_file() else None


def _tell(same: bool, faults: list[str], changes: list[Change], as_json: bool) -> None:
    """Show the outcome; ends with 1 where the ranking is not reproduced."""
    if as_json:
        found = [change.to_dict() for change in changes]
        found += [{"kind": "file", "sentence": sentence} for sentence in faults]
        print_json({"reproduced": same, "changes": found})
    else:
        say("The same figures from the same responses." if same else "Not reproduced.")
        for sentence in [*faults, *(change.sentence for change in changes)]:
            say(f"  {sentence}")
    raise typer.Exit(0 if same else 1)

"""``audit``: wiring from a tags file to a sample for people to label, and back to a labelled audit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data.errors import InputError, ModelError
from data.settings import Settings
from whyscore.options import AsJson, ScaleName, Window, read_settings
from whyscore.terminal import print_json, progress_bar, say

if TYPE_CHECKING:
    from data.audits import AuditLog
    from data.taxonomy import Taxonomy

audit = typer.Typer(
    help="Draw comments at random for people to label: they correct a ranking for the model's errors.",
    no_args_is_help=True,
)


@audit.command("sample")
def audit_sample(
    tags: Annotated[Path, typer.Argument(help="The tags file that is ranked.")],
    size: Annotated[
        int, typer.Option("--size", min=1, help="Comments to label; 300 to 800 are usual.")
    ] = 500,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="For people to label: .csv (a spreadsheet) or .jsonl.")
    ] = Path("audit.csv"),
    stratify: Annotated[
        str, typer.Option("--stratify", help="score-and-code (sees to rare codes) or uniform.")
    ] = "score-and-code",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Same seed, same tags: same sample.")] = 0,
    window: Window = None,
    scale: ScaleName = None,
    as_json: AsJson = False,
) -> None:
    """Draw responses of a tags file at random, for people to label."""
    from data.audit_labels import write_sample
    from data.audits import write_log
    from data.scale import scale_named
    from model.audit_draw import draw_from_tags
    from model.audit_sample import STRATIFY
    from model.periods import parse_span

    settings = read_settings()
    chosen = next((name for name in STRATIFY if name == stratify), None)
    if chosen is None:
        raise InputError(f"--stratify is one of {', '.join(STRATIFY)}")
    if output.exists():
        raise InputError("the file is there already, and it may hold labels; name another", file=output)
    span = None if window is None else parse_span(window)
    with progress_bar("Reading tags") as tell:
        drawn = draw_from_tags(
            tags,
            size,
            scale=scale_named(scale or settings.scale),
            stratify=chosen,
            seed=seed,
            span=span,
        )
        tell(1, 1, "")
    write_log(drawn.log, settings.home)
    write_sample(drawn.log, drawn.comments, output)
    _show_sample(drawn.log, output, as_json)


def _show_sample(log: AuditLog, output: Path, as_json: bool) -> None:
    design, strata = log.design, len({item.stratum for item in log.items})
    if as_json:
        print_json(
            {"output": str(output), "strata": strata} | design.model_dump(mode="json"),
        )
        return
    say(
        f"{design.drawn:,} of {design.frame_size:,} comments drawn from "
        f"{strata} {'strata' if strata > 1 else 'stratum'} -> {output}"
    )
    say(
        "Label all codes of every comment, without looking at the model's tags; write 'none' where no "
        f"code applies. Then: whyscore audit import {output}"
    )


@audit.command("import")
def audit_import(
    files: Annotated[list[Path], typer.Argument(help="Labelled files of one audit: .csv, .xlsx or .jsonl.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The audit, .jsonl; default in the home folder.")
    ] = None,
    taxonomy: Annotated[
        Path | None, typer.Option("--taxonomy", help="Of the labels; default that of the audited model.")
    ] = None,
    reweight: Annotated[
        bool,
        typer.Option(
            "--reweight", help="Take it unfinished: labelled rows stand for the others of their stratum."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check people's labels of an audit, and make the file that `rank --audit` takes."""
    from data.audit_labels import audit_id_of, import_labels
    from data.audits import labelled_path, read_log, write_audit

    settings = read_settings()
    log = read_log(audit_id_of(files[0]), settings.home)
    target = output or labelled_path(settings.home, log.design.id)
    for file in files:
        if target.exists() and target.samefile(file):
            raise InputError("the audit would overwrite the labels", file=target)
    found = import_labels(files, _taxonomy_of(log, taxonomy, settings), settings.home, reweight=reweight)
    write_audit(found.audit, target)
    positives: dict[str, int] = {}
    for row in found.audit.rows:
        for code in row.causes:
            positives[code] = positives.get(code, 0) + 1
    labelled = len(found.audit.rows)
    if as_json:
        print_json(
            {
                "output": str(target),
                "id": log.design.id,
                "labelled": labelled,
                "unlabelled": found.unlabelled,
                "positives": dict(sorted(positives.items())),
            }
        )
        return
    say(f"{labelled:,} responses are labelled and {found.unlabelled:,} are not -> {target}")
    enough = sum(count >= 10 for count in positives.values())
    say(f"{enough} of {len(positives)} codes have the 10 audited positives from which they are corrected.")
    if found.unlabelled:
        say("The labelled rows of each stratum stand for the others, as if those were left out at random.")
    if labelled < 300:
        say("An audit corrects a ranking from 300 labelled responses on.")
    say(f"Next: whyscore rank TAGS --audit {target}")


def _taxonomy_of(log: AuditLog, path: Path | None, settings: Settings) -> Taxonomy:
    """Give the taxonomy that the labels are of: the file's, else the audited model's."""
    from data.taxonomy import read_taxonomy
    from model.description import read_model_taxonomy
    from model.registry import find_model

    if path is not None:
        return read_taxonomy(path)
    try:
        return read_model_taxonomy(find_model(f"models:/{log.design.model}", settings).folder)
    except ModelError:
        raise InputError(
            f"the model '{log.design.model}' cannot be found, so its taxonomy is not known; say --taxonomy"
        ) from None

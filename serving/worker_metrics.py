"""One set of figures for several worker processes; import this before anything that counts.

The process that starts the workers calls `share_metrics` first, since the Prometheus client looks for the
folder once, when it is imported; it imports nothing of it here. `forget_worker` is for when one has ended.
"""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def share_metrics(folder: Path) -> None:
    """Let this process's workers count into a folder that is made, and emptied of an earlier run's files."""
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob("*.db"):
        left.unlink()
    os.environ[VARIABLE] = str(folder)


def forget_worker(pid: int, folder: Path | None = None) -> None:
    """Leave an ended worker out of figures of the moment; what it counted stays.

    Parameters
    ----------
    pid
        Its process id.
    folder
        Where the workers count; that of `share_metrics` where None.
    """
    place = str(folder) if folder is not None else os.environ.get(VARIABLE)
    if place is not None:
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(pid, place)  # type: ignore[no-untyped-call]

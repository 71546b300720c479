"""The shipped sample: comments written for this project, arranged as half a year of one invented company.

``README.md`` in this folder says what each file holds; ``python -m data.sample.arrange`` rebuilds
the two that are computed.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from data.errors import NotFoundError


def sample_path(name: str) -> Path:
    """Give the path of a file of the sample.

    Parameters
    ----------
    name
        ``taxonomy.yaml``, ``comments.jsonl``, ``annotations.jsonl``, ``responses.csv`` or ``README.md``.

    Raises
    ------
    NotFoundError
        If the sample has no such file.
    """
    path = Path(str(files(__name__) / name))
    if not path.is_file():
        raise NotFoundError(f"the sample has no file '{name}'", file=path)
    return path

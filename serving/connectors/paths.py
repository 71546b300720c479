"""Places in a JSON document, as pointers or as dotted names.

References
----------
Bryan, P., Zyp, K. & Nottingham, M. (2013). JavaScript Object Notation (JSON) Pointer. RFC 6901.
"""

from __future__ import annotations

from typing import Any


def steps(path: str) -> list[str]:
    """Give the names along a path: ``/a/0/b`` is a pointer, ``a.0.b`` the same in short."""
    if path.startswith("/"):
        return [part.replace("~1", "/").replace("~0", "~") for part in path[1:].split("/")]
    return path.split(".") if path else []


def value_at(document: Any, path: str) -> Any:
    """Give what stands at a path; None where nothing does."""
    value = document
    for step in steps(path):
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isascii() and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value

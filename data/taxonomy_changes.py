"""How a taxonomy changed: its typed migrations, and whether they agree with each other and its codes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from data.errors import InputError

MAX_LEVELS = 3
_ID = re.compile(r"[a-z0-9][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*){0,2}", re.ASCII)
_ACTIONS = ("add", "rename_label", "merge", "split", "move", "deprecate")


class Entry(BaseModel):
    """A part of a taxonomy file: of exact types, and without fields that the format does not have."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Migration(Entry):
    """One typed change of the taxonomy, made in `version`.

    ``add: CODE``, ``rename_label: CODE`` (``to`` may hold the new label), ``merge: [CODES]`` with
    ``into: CODE``, ``split: CODE`` with ``into: [CODES]``, ``move: CODE`` with ``to: CODE``,
    ``deprecate: CODE``.
    """

    version: int = Field(ge=1)
    add: str | None = None
    rename_label: str | None = None
    merge: list[str] | None = None
    split: str | None = None
    move: str | None = None
    deprecate: str | None = None
    into: str | list[str] | None = None
    to: str | None = None

    @property
    def action(self) -> str:
        """Which of the six it is."""
        return next(name for name in _ACTIONS if getattr(self, name) is not None)

    @property
    def sources(self) -> list[str]:
        """The codes that a merge, split or move takes away."""
        return [*(self.merge or ()), *(code for code in (self.split, self.move) if code is not None)]

    @property
    def targets(self) -> list[str]:
        """The codes that a merge, split or move leads to."""
        into = self.into if self.into is not None else self.to
        if self.rename_label is not None or into is None:
            return []
        return [into] if isinstance(into, str) else list(into)


def is_code_id(text: str) -> bool:
    """Tell whether a text has the form of an id: one to three lower-case names joined by dots."""
    return _ID.fullmatch(text) is not None


def check_migrations(
    ids: Sequence[str],
    version: int,
    migrations: Sequence[Migration],
    path: str | Path,
    lines: Sequence[int | None],
) -> None:
    """Check the migrations against each other and against the codes.

    Parameters
    ----------
    ids, version
        The taxonomy's codes and its version now.
    migrations, lines
        Every migration, oldest first, and its line in the file.

    Raises
    ------
    InputError
        At the first that is not one change, lacks what it needs, names a code that is not there, takes
        one away that is still there, or leads round in a circle; names file and line.
    """
    known = set(ids)
    onward: dict[str, set[str]] = {}
    last_made: dict[str | None, int] = {}
    for place, migration in enumerate(migrations):
        last_made |= dict.fromkeys([migration.add, *migration.targets], place)
        for source in migration.sources:
            onward.setdefault(source, set()).update(t for t in migration.targets if t != source)
    for place, (migration, line) in enumerate(zip(migrations, lines, strict=True)):
        made_later = {code for code, when in last_made.items() if when >= place}
        wrong = _shape_error(migration, version) or _code_error(migration, known, onward, made_later)
        if wrong is not None:
            raise InputError(wrong, file=path, row=line, column="migrations")


def _code_error(
    migration: Migration, known: set[str], onward: dict[str, set[str]], made_later: set[str | None]
) -> str | None:
    for code in (migration.add, migration.rename_label, migration.deprecate, *migration.targets):
        if code is not None and code not in known and code not in onward:
            return f"a migration names '{code[:60]}', which is not among the codes"
    for source in migration.sources:
        if _leads_back(source, onward):
            return f"the migrations lead from '{source}' round to itself (a cycle)"
        if source in known - made_later:
            return f"'{source}' went away in version {migration.version} but is still among the codes"
    return None


def _shape_error(migration: Migration, newest: int) -> str | None:
    actions = [name for name in _ACTIONS if getattr(migration, name) is not None]
    if len(actions) != 1:
        return f"each migration has exactly one of {', '.join(_ACTIONS)}"
    if migration.version > newest:
        return f"a migration to version {migration.version} stands in version {newest}"
    action, targets = actions[0], migration.targets
    moving = action in ("merge", "split", "move")
    odd = next((code for code in (*migration.sources, *targets) if not is_code_id(code)), None)
    if migration.into is not None and migration.to is not None:
        return "a migration has 'into' or 'to', not both"
    if odd is not None:
        return f"'{odd[:60]}' is not a code's id"
    if moving and not (migration.sources and targets):
        return f"a {action} needs codes and '{'to' if action == 'move' else 'into'}'"
    if action in ("merge", "move") and len(targets) != 1:
        return f"a {action} leads to one code"
    if not moving and (migration.into is not None or (migration.to is not None and action != "rename_label")):
        return f"'{action}' leads to no other code"
    return None


def _leads_back(start: str, onward: dict[str, set[str]]) -> bool:
    todo, seen = list(onward[start]), set()
    while todo:
        code = todo.pop()
        if code == start:
            return True
        if code not in seen:
            seen.add(code)
            todo.extend(onward.get(code, ()))
    return False

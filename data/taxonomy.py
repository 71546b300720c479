"""The taxonomy: reason codes, their hierarchy, and how they changed from version to version."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError

from data.errors import InputError
from data.taxonomy_changes import MAX_LEVELS, Entry, Migration, check_migrations, is_code_id
from data.yaml_files import Lines, parse_yaml, read_yaml_text, shape_error

_UNUSUAL = re.compile("[\\0-\x1f\x7f-\x9f\u2028\u2029\ufeff]")  # PyYAML folds some of these away

__all__ = [
    "MAX_LEVELS",
    "Migration",
    "ReasonCode",
    "Taxonomy",
    "parent_of",
    "parse_taxonomy",
    "read_taxonomy",
]


class ReasonCode(Entry):
    """A category of cause. Only `id` is required; the rest helps people and the zero-shot model."""

    id: str
    label: str = ""
    definition: str = ""
    includes: list[str] = Field(default_factory=list)
    excludes: list[str] = Field(default_factory=list)
    examples: list[str] = Field(default_factory=list)

    @property
    def name(self) -> str:
        """The label, or the id made readable."""
        return self.label or self.id.rsplit(".", 1)[-1].replace("-", " ").replace("_", " ").capitalize()


class _File(Entry):
    name: str = "taxonomy"
    version: int = Field(default=1, ge=1)
    codes: list[ReasonCode] = Field(min_length=1)
    migrations: list[Migration] = Field(default_factory=list)


@dataclass(frozen=True)
class Taxonomy:
    """A checked taxonomy.

    Attributes
    ----------
    name, version
        As the file gives them.
    codes
        Every code in file order, parents that are written out included.
    migrations
        By version, oldest first.
    """

    name: str
    version: int
    codes: tuple[ReasonCode, ...]
    migrations: tuple[Migration, ...] = ()
    _by_id: dict[str, ReasonCode] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_id", {code.id: code for code in self.codes})

    def __contains__(self, code_id: str) -> bool:
        """Tell whether a code of that id exists now."""
        return code_id in self._by_id

    def __getitem__(self, code_id: str) -> ReasonCode:
        """Give the code of that id; raises `KeyError`."""
        return self._by_id[code_id]

    @property
    def ids(self) -> tuple[str, ...]:
        """Every code's id in file order."""
        return tuple(self._by_id)

    @property
    def active(self) -> tuple[str, ...]:
        """The ids that may still be tagged: all but the deprecated ones."""
        gone: set[str | None] = set()
        for migration in self.migrations:
            gone.add(migration.deprecate)
            gone -= {migration.add, *migration.targets}
        return tuple(code for code in self.ids if code not in gone)

    def known_at(self, version: int) -> frozenset[str]:
        """Give the ids that someone who worked with that version could choose."""
        known = set(self.ids)
        for migration in reversed(self.migrations):
            if migration.version > version:
                known.discard(migration.add or "")
                known.update(migration.sources)
        return frozenset(known)

    def label(self, code_id: str) -> str:
        """Give a code's label; for an id that is not in the file, the id made readable."""
        return self._by_id[code_id].name if code_id in self else ReasonCode(id=code_id).name

    def to_dict(self) -> dict[str, Any]:
        """Give the taxonomy as the YAML file holds it, in plain values."""
        return {
            "name": self.name,
            "version": self.version,
            "codes": [code.model_dump(exclude_defaults=True) for code in self.codes],
            "migrations": [m.model_dump(exclude_none=True) for m in self.migrations],
        }

    def to_yaml(self) -> str:
        """Give the taxonomy as YAML that `read_taxonomy` reads back equal."""
        return yaml.dump(self.to_dict(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def parent_of(code_id: str) -> str | None:
    """Give the id one level up, None at the top."""
    return code_id.rpartition(".")[0] or None


class _Dumper(yaml.SafeDumper):
    """YAML of plain values, with texts that hold unusual line breaks in quotation marks, as escapes."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        style = '"' if _UNUSUAL.search(data) else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _Dumper.represent_str)


def read_taxonomy(path: str | Path) -> Taxonomy:
    """Read and check a taxonomy file.

    Raises
    ------
    NotFoundError
        If there is no such file.
    InputError
        If it is not YAML of the right shape, an id is used twice, malformed or deeper than three
        levels, or the migrations contradict it; names the file, the line and the field.
    """
    return parse_taxonomy(read_yaml_text(path), path)


def parse_taxonomy(text: str, path: str | Path = "taxonomy") -> Taxonomy:
    """Read and check a taxonomy's YAML; raises `InputError` as `read_taxonomy` does."""
    tree, lines = parse_yaml(text, path, "taxonomy")
    if not isinstance(tree, dict):
        raise InputError("the file must hold 'codes', a list of codes with an 'id' each", file=path)
    try:
        parsed = _File.model_validate(tree)
    except ValidationError as error:
        raise shape_error(error, path, lines) from None
    order = sorted(range(len(parsed.migrations)), key=lambda place: parsed.migrations[place].version)
    taxonomy = Taxonomy(
        parsed.name,
        parsed.version,
        tuple(parsed.codes),
        tuple(parsed.migrations[place] for place in order),
    )
    _check_codes(taxonomy.codes, path, lines)
    check_migrations(
        taxonomy.ids,
        taxonomy.version,
        taxonomy.migrations,
        path,
        [lines("migrations", place) for place in order],
    )
    return taxonomy


def _check_codes(codes: Sequence[ReasonCode], path: str | Path, lines: Lines) -> None:
    seen: set[str] = set()
    for place, code in enumerate(codes):
        wrong = None
        if not is_code_id(code.id):
            wrong = f"the id '{code.id[:60]}' is not one to {MAX_LEVELS} lower-case names joined by dots"
        elif code.id in seen:
            wrong = f"the id '{code.id}' is used twice"
        if wrong:
            raise InputError(wrong, file=path, row=lines("codes", place, "id"), column="id")
        seen.add(code.id)

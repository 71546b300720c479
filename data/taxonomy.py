"""The taxonomy: reason codes, their hierarchy, and how they changed from version to version."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError

from data.cells import whole_text
from data.errors import InputError, NotFoundError
from data.files import plain_reason
from data.taxonomy_changes import MAX_LEVELS, Entry, Migration, check_migrations, is_code_id

_MOST_CHARACTERS = 4 * 1024 * 1024
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

Lines = Callable[..., int | None]
"""Gives the line of a place in the file, such as ``lines("codes", 3, "id")``."""


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


class _Loader(yaml.SafeLoader):
    """YAML of plain values, where a key that stands twice is an error, not a silent choice."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            # Merges of merges grow without bounds; a taxonomy has no use for them.
            raise yaml.MarkedYAMLError(problem="'<<' is not allowed", problem_mark=node.start_mark)
        super().flatten_mapping(node)

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        value = super().construct_scalar(node)
        return whole_text(value) if isinstance(value, str) else value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"'{key.value}' stands twice", problem_mark=key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


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
    path = Path(path)
    if not path.is_file():
        raise NotFoundError("there is no such file", file=path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"the file cannot be read ({plain_reason(error)})", file=path) from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            "the text is not UTF-8", file=path, row=raw[: error.start].count(b"\n") + 1
        ) from None
    return parse_taxonomy(text, path)


def parse_taxonomy(text: str, path: str | Path = "taxonomy") -> Taxonomy:
    """Read and check a taxonomy's YAML; raises `InputError` as `read_taxonomy` does."""
    tree, lines = _parse_yaml(text, path)
    if not isinstance(tree, dict):
        raise InputError("the file must hold 'codes', a list of codes with an 'id' each", file=path)
    try:
        parsed = _File.model_validate(tree)
    except ValidationError as error:
        raise _from_pydantic(error, path, lines) from None
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


def _parse_yaml(text: str, path: str | Path) -> tuple[Any, Lines]:
    if len(text) > _MOST_CHARACTERS:
        raise InputError("the file is longer than 4 million characters; it is no taxonomy", file=path)
    try:
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
            tree = None if root is None else loader.construct_document(root)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise InputError(f"the file is not YAML ({error.problem})", file=path, row=line) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise InputError("the text holds a character that YAML refuses", file=path, row=line) from None
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError):
        raise InputError("the file is not YAML that can be read", file=path) from None
    return tree, lambda *place: _line(root, place)


def _line(node: yaml.Node | None, place: Sequence[str | int]) -> int | None:
    """Give the line of a place, or of the innermost thing around it that is there."""
    line = None
    for part in place:
        if isinstance(node, yaml.MappingNode):
            pair = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line


def _from_pydantic(error: ValidationError, path: str | Path, lines: Lines) -> InputError:
    first = error.errors(include_url=False, include_input=False)[0]
    place = first["loc"]
    odd_key = first["type"] == "invalid_key"  # such as a number
    name = str(place[-1]) if odd_key else next((p for p in reversed(place) if isinstance(p, str)), "")
    words = {
        "extra_forbidden": f"'{name}' is not a field of the format",
        "invalid_key": f"'{name}' is not a field of the format",
        "missing": f"'{name}' is missing",
        "string_type": "it is not a text; put it in quotation marks",
    }
    message = words.get(first["type"], first["msg"][:1].lower() + first["msg"][1:])
    where = ".".join(str(part + 1) if isinstance(part, int) and not odd_key else str(part) for part in place)
    return InputError(f"{where}: {message}", file=path, row=lines(*place), column=name)


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

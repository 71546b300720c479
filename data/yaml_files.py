"""YAML files that people write: plain values, each key once, and every fault with its line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from data.cells import whole_text
from data.errors import InputError, NotFoundError
from data.files import plain_reason

_MOST_CHARACTERS = 4 * 1024 * 1024

Lines = Callable[..., int | None]
"""Gives the line of a place in the file, such as ``lines("codes", 3, "id")``."""


class _Loader(yaml.SafeLoader):
    """YAML of plain values, where a key that stands twice is an error, not a silent choice."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            # Merges of merges grow without bounds; a settings file has no use for them.
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


def read_yaml_text(path: str | Path) -> str:
    """Read a file as UTF-8 text.

    Raises
    ------
    NotFoundError
        If there is no such file.
    InputError
        If it cannot be read, or its text is not UTF-8.
    """
    path = Path(path)
    if not path.is_file():
        raise NotFoundError("there is no such file", file=path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"the file cannot be read ({plain_reason(error)})", file=path) from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            "the text is not UTF-8", file=path, row=raw[: error.start].count(b"\n") + 1
        ) from None


def parse_yaml(text: str, path: str | Path, what: str) -> tuple[Any, Lines]:
    """Read a text as YAML that should be `what`; give its values, and what tells the line of a place.

    Raises
    ------
    InputError
        If it is not YAML of plain values, or a key stands twice; names the line.
    """
    if len(text) > _MOST_CHARACTERS:
        raise InputError(f"the file is longer than 4 million characters; it is no {what}", file=path)
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


def shape_error(
    error: ValidationError, path: str | Path, lines: Lines, within: Sequence[str | int] = ()
) -> InputError:
    """Give the first fault of a file's shape as a sentence that names its line and its place in the file.

    Parameters
    ----------
    error
        What pydantic found in the file, or in a part of it.
    path, lines
        The file, and from `parse_yaml`.
    within
        The place of that part.
    """
    first = error.errors(include_url=False, include_input=False)[0]
    place = (*within, *first["loc"])
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

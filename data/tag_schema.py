"""Whether a Parquet tags file holds its columns in the types in which they can be read as columns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from data.errors import InputError
from data.rows import checked_header
from data.tags import COLUMNS

LEAVES = ("code", "polarity", "probability")
"""What a ranking reads of a tag."""


class UnfitColumnsError(Exception):
    """The file must be read row by row: `data.tags.read_tags` says what is wrong, if anything is."""


def fitting_columns(path: Path) -> tuple[dict[str, pa.DataType], list[str]]:
    """Give the columns of a tags file by name, and the paths of its `LEAVES`.

    Columns that Arrow knows to be empty are left out.

    Raises
    ------
    UnfitColumnsError
        If it is no Parquet file, or a column is missing or of another type than `data.tags.write_tags`
        gives it.
    """
    try:
        with pq.ParquetFile(path) as source:
            schema = source.schema_arrow
            paths = [source.schema.column(place).path.split(".") for place in range(len(source.schema))]
        named = checked_header(path, schema.names) == schema.names
    except (pa.ArrowException, OSError, InputError) as error:
        raise UnfitColumnsError from error
    types = {field.name: field.type for field in schema if not pa.types.is_null(field.type)}
    known = all(fits(types[name]) for name, fits in _FITTING.items() if name in types)
    flat = all(_is_flat(kind) for name, kind in types.items() if name not in COLUMNS)
    if not (named and known and flat and {"response_id", "status", "tags"} <= types.keys()):
        raise UnfitColumnsError
    tags = [path for path in paths if path[0] == "tags" and "evidence" not in path]
    return types, [".".join(path) for path in tags if path[-1] in LEAVES]


def is_text(kind: pa.DataType | None) -> bool:
    """Tell whether a column holds texts."""
    if kind is not None and pa.types.is_dictionary(kind):
        kind = kind.value_type
    return kind is not None and (pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_flat(kind: pa.DataType) -> bool:
    return not (pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_id(kind: pa.DataType) -> bool:
    return is_text(kind) or bool(pa.types.is_integer(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_float32(kind) or pa.types.is_float64(kind))


def _are_tags(kind: pa.DataType) -> bool:
    if not (pa.types.is_list(kind) and pa.types.is_struct(kind.value_type)):
        return False
    fields = {field.name: field.type for field in kind.value_type}
    code, polarity, probability = (fields.get(leaf, pa.null()) for leaf in LEAVES)
    return bool(pa.types.is_string(code) and pa.types.is_string(polarity)) and _is_number(probability)


_FITTING: dict[str, Callable[[pa.DataType], bool]] = {
    "response_id": _is_id,
    "score": _is_number,
    "comment": is_text,
    "responded_at": pa.types.is_timestamp,
    "respondent_id": _is_id,
    "weight": _is_number,
    "status": is_text,
    "tags": _are_tags,
    "model": is_text,
    "taxonomy_version": _is_number,
    "error": is_text,
    "abstained": pa.types.is_boolean,
}

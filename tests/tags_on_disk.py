"""Tags files for tests, and what is said of them when they cannot be read."""

import json

import pytest

from data.errors import InputError
from data.tags import read_tags


def sentence(path, **how):
    with pytest.raises(InputError) as caught:
        list(read_tags(path, **how))
    said = str(caught.value)
    assert "\n" not in said
    return said.removeprefix(f"{path}, ").removeprefix(f"{path}: ")


def write_lines(folder, *records):
    path = folder / "in.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path

"""Nothing that is installed is under the GPL or the AGPL; the LGPL is another licence, and fine."""

import re
from email.message import EmailMessage
from importlib import metadata

import pytest

# Their metadata name no licence; their projects do.
ELSEWHERE = {"huey": "MIT", "ppi-python": "MIT"}
COPYLEFT = re.compile(
    r"(?<!L)(?:A?GPL)|(?<!Lesser )(?<!Library or Lesser )General Public License", re.IGNORECASE
)


def licences(fields):
    """Give what a distribution says of its licence: alternatives, of which one is enough."""
    expression = fields.get("License-Expression")
    if expression:
        return re.split(r"\s+OR\s+", expression.strip("()"))
    named = [c for c in fields.get_all("Classifier", []) if c.startswith("License ::") and c.count("::") > 1]
    named += [line for line in [(fields.get("License") or "").partition("\n")[0].strip()] if line]
    return named


def is_copyleft(fields):
    found = licences(fields)
    return bool(found) and all(COPYLEFT.search(licence) for licence in found)


INSTALLED = {
    distribution.metadata["Name"]: distribution.metadata for distribution in metadata.distributions()
}


def test_no_installed_distribution_is_copyleft():
    assert len(INSTALLED) > 50
    assert [name for name, fields in INSTALLED.items() if is_copyleft(fields)] == []


def test_every_installed_distribution_names_a_licence():
    silent = {
        name for name, fields in INSTALLED.items() if not licences(fields) and not fields.get("License-File")
    }
    assert silent - ELSEWHERE.keys() - {"whyscore"} == set()


@pytest.mark.parametrize(
    ("header", "value", "found"),
    [
        ("License-Expression", "GPL-3.0-or-later", True),
        ("License-Expression", "AGPL-3.0-only", True),
        ("License-Expression", "MIT OR GPL-2.0-only", False),
        ("License-Expression", "MIT AND GPL-2.0-only", True),
        ("License-Expression", "LGPL-2.1-or-later", False),
        ("License", "GNU General Public License v3", True),
        ("License", "GPLv2+", True),
        ("License", "LGPLv3", False),
        ("Classifier", "License :: OSI Approved :: GNU Affero General Public License v3", True),
        ("Classifier", "License :: OSI Approved :: GNU General Public License v2 (GPLv2)", True),
        (
            "Classifier",
            "License :: OSI Approved :: GNU Lesser General Public License v2 or later (LGPLv2+)",
            False,
        ),
        ("Classifier", "License :: OSI Approved :: BSD License", False),
    ],
)
def test_the_check_tells_licences_apart(header, value, found):
    fields = EmailMessage()
    fields[header] = value
    assert is_copyleft(fields) is found

"""The connectors' file: which survey tools may send here, and where their secrets are."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from data.errors import InputError, NotFoundError
from data.yaml_files import parse_yaml, read_yaml_text, shape_error
from serving.connectors.asknicely import AskNicely
from serving.connectors.connector import Connector
from serving.connectors.delighted import Delighted
from serving.connectors.generic import Generic
from serving.connectors.signatures import SignatureError
from serving.connectors.surveymonkey import SurveyMonkey
from serving.connectors.typeform import Typeform

KINDS: dict[str, type[Connector]] = {
    kind.kind: kind for kind in (Delighted, Typeform, AskNicely, SurveyMonkey, Generic)
}
LEAST_SECRET = 8
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)


@dataclass(frozen=True)
class Connectors:
    """The sources that may send responses.

    Attributes
    ----------
    by_name
        Each source's connector by its name in the URL, with the key that it signs with.
    """

    by_name: Mapping[str, tuple[Connector, bytes]] = field(default_factory=dict, repr=False)

    def accept(self, source: str, body: bytes, headers: Mapping[str, str]) -> Connector:
        """Give the connector of a source whose signature on a body holds.

        Raises
        ------
        NotFoundError
            If there is no such source.
        SignatureError
            If the signature is missing or wrong.
        """
        if source not in self.by_name:
            raise NotFoundError("no source of this name is in the connectors' file")
        connector, key = self.by_name[source]
        if not connector.scheme().holds(body, headers, key):
            raise SignatureError("the body is not signed as this source signs")
        return connector


def read_connectors(path: Path | None, environment: Mapping[str, str] | None = None) -> Connectors:
    """Read the connectors' file; none where there is no path.

    Parameters
    ----------
    path
        A YAML file: ``connectors``, by name, each with its ``kind`` and ``secret_env``.
    environment
        Where the secrets are; the process's own where None.

    Raises
    ------
    NotFoundError
        If there is no such file.
    InputError
        If it is not of the right shape, or a secret is not there; names file, line and place.
    """
    if path is None:
        return Connectors()
    tree, lines = parse_yaml(read_yaml_text(path), path, "file of connectors")
    if not isinstance(tree, dict) or set(tree) != {"connectors"} or not isinstance(tree["connectors"], dict):
        raise InputError("the file must hold 'connectors' alone, sources by their names", file=path)
    found = {}
    for name, part in tree["connectors"].items():
        place = ("connectors", str(name))
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            wrong = f"{place[0]}.{place[1][:60]}: a name is of small letters, digits and hyphens"
            raise InputError(wrong, file=path, row=lines(*place))
        kind = part.get("kind", name) if isinstance(part, dict) else None
        if kind not in KINDS:
            wrong = f"connectors.{name}.kind: it is one of {', '.join(KINDS)}"
            raise InputError(wrong, file=path, row=lines(*place, "kind"), column="kind")
        try:
            connector = KINDS[kind].model_validate({key: part[key] for key in part if key != "kind"})
        except ValidationError as error:
            raise shape_error(error, path, lines, place) from None
        found[name] = (
            connector,
            _key(connector, environment or os.environ, path, name, lines(*place, "secret_env")),
        )
    return Connectors(found)


def _key(
    connector: Connector, environment: Mapping[str, str], path: Path, name: str, line: int | None
) -> bytes:
    secret = environment.get(connector.secret_env, "")
    if len(secret) < LEAST_SECRET:
        raise InputError(
            f"connectors.{name}.secret_env: the environment variable {connector.secret_env} is not set, "
            f"or holds fewer than {LEAST_SECRET} characters",
            file=path,
            row=line,
            column="secret_env",
        )
    return connector.key(secret)

"""The connectors' file: which survey tools may send here, and where their secrets are."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from data.errors import InputError, NotFoundError
from data.source_notices import Notice
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
    tokens
        By name, the token of the source's API, where responses are fetched from it.
    """

    by_name: Mapping[str, tuple[Connector, bytes]] = field(default_factory=dict, repr=False)
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)

    def kind_of(self, source: str) -> str:
        """Give a source's kind; raises `NotFoundError` where there is none of this name."""
        if source not in self.by_name:
            raise NotFoundError("no source of this name is in the connectors' file")
        return self.by_name[source][0].kind

    def accept(self, source: str, body: bytes, headers: Mapping[str, str]) -> Connector:
        """Give the connector of a source whose signature on a body holds.

        Raises
        ------
        NotFoundError
            If there is no such source.
        SignatureError
            If the signature is missing or wrong.
        """
        self.kind_of(source)
        connector, key = self.by_name[source]
        if not connector.scheme().holds(body, headers, key):
            raise SignatureError("the body is not signed as this source signs")
        return connector

    def address_of(self, notice: Notice) -> tuple[Connector, str, str]:
        """Give the connector, the address and the token with which a named response is fetched.

        Raises
        ------
        InputError
            If the file has no such source any more, or no token for it.
        """
        if notice.source not in self.tokens:
            raise InputError("the connectors' file has no source of this name with an access token")
        connector, _ = self.by_name[notice.source]
        return connector, connector.address_of(notice.survey, notice.response), self.tokens[notice.source]


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
    environment = os.environ if environment is None else environment
    found, tokens = {}, {}
    for name, part in tree["connectors"].items():
        place = ("connectors", str(name))
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            wrong = f"{place[0]}.{place[1][:60]}: a name is of small letters, digits and hyphens"
            raise InputError(wrong, file=path, row=lines(*place))
        kind = part.get("kind", name) if isinstance(part, dict) else None
        if not isinstance(kind, str) or kind not in KINDS:
            wrong = f"connectors.{name}.kind: it is one of {', '.join(KINDS)}"
            raise InputError(wrong, file=path, row=lines(*place, "kind"), column="kind")
        try:
            connector = KINDS[kind].model_validate({key: part[key] for key in part if key != "kind"})
        except ValidationError as error:
            raise shape_error(error, path, lines, place) from None
        secret = _secret(environment, connector.secret_env, path, (*place, "secret_env"), lines)
        found[name] = (connector, connector.key(secret))
        if (variable := connector.token_env()) is not None:
            tokens[name] = _secret(environment, variable, path, (*place, "access_token_env"), lines)
    return Connectors(found, tokens)


def _secret(
    environment: Mapping[str, str],
    variable: str,
    path: Path,
    place: tuple[str, ...],
    lines: Callable[..., int | None],
) -> str:
    secret = environment.get(variable, "")
    if len(secret) < LEAST_SECRET:
        raise InputError(
            f"{'.'.join(place)}: the environment variable {variable} is not set, "
            f"or holds fewer than {LEAST_SECRET} characters",
            file=path,
            row=lines(*place),
            column=place[-1],
        )
    return secret

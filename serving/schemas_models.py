"""What the endpoints about models give."""

from __future__ import annotations

from pydantic import BaseModel, Field
from pydantic.config import JsonDict

_TIME: JsonDict = {"format": "date-time"}


class RefusedModel(BaseModel):
    """A model that the registry names and the service does not take."""

    model: str = Field(description="Its name and version.", examples=["reason-codes/8"])
    reason: str = Field(description="What is wrong with it, in a sentence.")
    at: str = Field(description="When it was tried last, in UTC.", json_schema_extra=_TIME)
    tries: int = Field(description="How often it was tried.")


class ServingReply(BaseModel):
    """The model that serves, and what keeps another from it."""

    model: str | None = Field(description="The model that tags; null where there is none.")
    taxonomy_version: int | None = Field(description="The version of the taxonomy that it knows.")
    follows: str | None = Field(
        description="The alias of the registry that is followed; null where a model was named at the start."
    )
    since: str | None = Field(
        description="When it took over, in UTC; null where it was chosen at the start.",
        json_schema_extra=_TIME,
    )
    registry_problem: str | None = Field(description="Why the registry cannot be asked; null while it can.")
    refused: RefusedModel | None = Field(description="The model that should serve and does not.")
    pinned: list[str] = Field(description="Other versions that are loaded, because requests named them.")


class CodeAgreementReply(BaseModel):
    """How two models agree on one code."""

    both: int = Field(description="Comments that both gave the code.")
    only_champion: int = Field(description="Comments that the champion alone gave it.")
    only_challenger: int = Field(description="Comments that the challenger alone gave it.")
    other_polarity: int = Field(description="Of those that both gave it: with another polarity.")
    kappa: float | None = Field(
        description="Cohen's kappa: 1 for full agreement, 0 for chance; null where chance agrees fully."
    )
    mean_probability_difference: float | None = Field(
        description="The challenger's probability less the champion's, where both gave the code."
    )


class ShadowReply(BaseModel):
    """How far a challenger agrees with the champion on the same comments; counts alone are kept."""

    challenger: str | None = Field(description="The model in the shadow; null where there is none.")
    champion: str | None = Field(description="The model that it was compared with.")
    share: float = Field(description="The share of the comments that it reads too.")
    comments: int = Field(description="Comments that both have read.")
    same_codes: int = Field(description="Of those: with the very same codes.")
    dropped: int = Field(description="Comments that were left out because too many waited.")
    failed: int = Field(description="Comments that the challenger failed on.")
    codes: dict[str, CodeAgreementReply] = Field(description="By code that either gave.")

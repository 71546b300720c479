"""Tags of responses whose personal data the model does not see."""

from __future__ import annotations

from collections.abc import Sequence

from data.masking import mask_response
from data.responses import Response
from data.tags import TaggedResponse
from serving.ingest import ResponseTagger


def tag_masked(
    responses: Sequence[Response], tagger: ResponseTagger, kinds: tuple[str, ...]
) -> list[TaggedResponse]:
    """Tag responses whose personal data the model does not see; the tags are those of the originals.

    Parameters
    ----------
    responses
        As they came.
    tagger
        The model.
    kinds
        What to mask, as `data.personal_data.parse_kinds` gives it.
    """
    if not kinds:
        return tagger.tag(responses)
    masked = [mask_response(response, kinds) for response in responses]
    rows = tagger.tag([one.response for one in masked])
    return [one.restore(row) for one, row in zip(masked, rows, strict=True)]

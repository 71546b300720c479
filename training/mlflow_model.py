"""The MLflow model, logged as this code (nothing is pickled): comments in, tags out, without torch.

MLflow runs this file when it loads the model, as a ``pyfunc`` and inside ``spark_udf`` alike.
"""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from model.comment_tagger import CommentTagger


class ReasonCodeModel(PythonModel):  # type: ignore[misc]  # MLflow is not type-checked here
    """Tags the column ``comment`` of a frame; see `predict`."""

    def load_context(self, context: Any) -> None:
        """Load the model folder that was logged beside this code."""
        self.tagger = CommentTagger.load(context.artifacts["model"])

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.Series:
        """Tag comments.

        Parameters
        ----------
        model_input
            With a text column ``comment``; blank ones have no tags.

        Returns
        -------
        Series of str
            For each row its tags, a JSON list as ``formats.md`` has it.
        """
        comments = model_input["comment"].fillna("").astype(str).tolist()
        filled = [i for i, comment in enumerate(comments) if comment.strip()]
        tags = dict(zip(filled, self.tagger.tag([comments[i] for i in filled]), strict=True))
        lines = [
            json.dumps([tag.to_record() for tag in tags.get(i, ())], ensure_ascii=False)
            for i in range(len(comments))
        ]
        return pd.Series(lines, index=model_input.index)


set_model(ReasonCodeModel())

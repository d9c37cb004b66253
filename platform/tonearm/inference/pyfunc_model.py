"""The code of the registered model: MLflow runs this file when the model is loaded.

``mlflow.pyfunc.load_model("models:/tonearm-scores@champion").predict(frame)`` takes a DataFrame with a column
``audio`` of encoded bytes and returns a row a recording: the label and the probability of every class.
"""

from __future__ import annotations

from typing import Any

import mlflow
import pandas as pd

from tonearm.inference import load


class TonearmModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
    """Predicts with a Tonearm bundle."""

    def load_context(self, context: Any) -> None:
        self._classifier = load(context.artifacts["bundle"])

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        rows = []
        for audio in model_input["audio"]:
            prediction = self._classifier.predict(bytes(audio))
            probabilities = dict(zip(prediction.labels, map(float, prediction.probabilities), strict=True))
            rows.append({"label": prediction.top(1)[0][0], **probabilities})
        return pd.DataFrame(rows)


mlflow.models.set_model(TonearmModel())

"""The code of the registered model: MLflow runs this file when the model is loaded.

``mlflow.pyfunc.load_model("models:/tonearm-scores@champion").predict(frame)`` takes a DataFrame with a column
``audio`` of encoded bytes and returns a row a recording: its label (of several ``labels``, of playlists the fittest),
and the number of every output.
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
            told = self._classifier.read(prediction).columns()
            numbers = dict(zip(prediction.labels, map(float, prediction.probabilities), strict=True))
            rows.append({**{name: text for name, text in told.items() if isinstance(text, str)}, **numbers})
        return pd.DataFrame(rows)


mlflow.models.set_model(TonearmModel())

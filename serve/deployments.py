"""The worker that holds the model: a plain class, made a deployment in :mod:`serve.app`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from tonearm.core.threads import limit_threads


class ModelReplica:
    """Holds a model, and its catalogue if it has one, in memory and predicts for encoded audio.

    What is wrong with a recording comes back as a value, ``{"problem": reason, "detail": ...}``: an exception would
    reach the ingress wrapped in Ray's own, with a traceback.
    """

    def __init__(self, model: str, max_seconds: float, allowed_modules: Sequence[str] = ()) -> None:
        limit_threads(1)
        import torch

        torch.set_num_threads(1)
        from tonearm.inference import load

        self._loaded = load(model, allowed_modules)
        self._index = self._loaded.recommender.index if self._loaded.has_catalogue else None
        self._model, self._max_seconds = model, max_seconds
        self._warm_up()

    def health(self) -> dict[str, Any]:
        """What is served."""
        from tonearm import __version__

        return {
            "status": "ok",
            "model": self._model,
            "classes": list(self._loaded.classes),
            "tracks": len(self._index.tracks) if self._index is not None else 0,
            "version": __version__,
        }

    def predict(self, audio: bytes, neighbours: int = 0) -> dict[str, Any]:
        """Classify encoded audio and find so many neighbours."""
        from tonearm.audio.decode import describe
        from tonearm.core.errors import AudioError
        from tonearm.core.text import command

        if neighbours and self._index is None:
            return {
                "problem": "no_catalogue",
                "detail": f"the model {self._model} has no catalogue: it answers /v1/classify; to recommend, make one: "
                + command("recommend", "--dataset", "NAME", "--model", self._model, "--save"),
            }
        started = time.perf_counter()
        try:
            length = describe(audio).duration
            if length > self._max_seconds:
                return {
                    "problem": "too_long",
                    "detail": f"the recording lasts {length:.1f} s, at most {self._max_seconds:g} s are accepted: "
                    "send a part of it",
                }
            prediction = self._loaded.predict(audio)
        except AudioError as error:
            return {"problem": error.reason, "detail": error.detail}
        ranked = prediction.top(len(prediction.labels))
        result: dict[str, Any] = {
            "label": ranked[0][0],
            "probabilities": [{"label": label, "probability": p} for label, p in ranked],
            "model": self._model,
            "seconds": time.perf_counter() - started,
        }
        if neighbours and self._index is not None:
            found = self._index.search(prediction.embedding, neighbours)
            result["neighbours"] = [{**n.track, "similarity": n.similarity} for n in found]
        return result

    def _warm_up(self) -> None:
        """The first call builds filters and compiles loops: done here, so that no user waits for it."""
        import numpy as np

        from tonearm.core.types import Waveform

        classifier = self._loaded
        rate = next(iter(classifier.features.values())).sample_rate
        noise = np.random.default_rng(0).normal(0, 0.1, (1, round(classifier.clip.seconds * rate)))
        classifier.predict_waveform(Waveform(noise.astype(np.float32), rate))

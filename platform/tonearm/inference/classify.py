"""Audio in, probabilities and an embedding out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from tonearm.audio.decode import Layout
from tonearm.audio.sources import Source
from tonearm.audio.windows import load_clips
from tonearm.core.types import Prediction, Waveform
from tonearm.ensembles.bundle import Ensemble
from tonearm.ensembles.combine import weighted_mean
from tonearm.features.engine import compute_layouts
from tonearm.features.normalisation import half_precision
from tonearm.features.store import StoredClip
from tonearm.models.base import Inputs, in_chunks
from tonearm.tasks.pooling import unit_length
from tonearm.training.bundle import embed_windows
from tonearm.training.readers import clip_windows


class Classifier:
    """An ensemble (or a single model) that classifies new audio.

    Parameters
    ----------
    ensemble
        The members.
    """

    def __init__(self, ensemble: Ensemble) -> None:
        self.ensemble = ensemble
        self.classes = ensemble.classes
        self.clip = ensemble.members[0].config.clip
        self.features = {r.store_name(): r for m in ensemble.members for r in m.config.audio_inputs().values()}

    def predict(self, source: Source) -> Prediction:
        """Classify encoded audio.

        Parameters
        ----------
        source
            Encoded bytes, a path or a URI.

        Raises
        ------
        AudioError
            If it is no usable audio, with the reason.
        """
        layouts = list(dict.fromkeys(f.layout for f in self.features.values()))
        shortest = max(m.config.min_seconds for m in self.ensemble.members)
        stored: dict[str, list[StoredClip]] = {name: [] for name in self.features}
        for waveforms in load_clips(source, self.clip, layouts, shortest):
            for name, clip in self._as_stored(waveforms).items():
                stored[name].append(clip)
        return self.predict_stored(stored)

    def predict_waveform(self, waveform: Waveform) -> Prediction:
        """Classify a decoded clip, which must have the layout that all members take."""
        stored = self._as_stored({f.layout: waveform for f in self.features.values()})
        return self.predict_stored({name: [clip] for name, clip in stored.items()})

    def _as_stored(self, waveforms: Mapping[Layout, Waveform]) -> dict[str, StoredClip]:
        # float16, as the store keeps them: the same numbers in serving as in training.
        computed = compute_layouts(waveforms, list(self.features.values()))
        return {
            name: StoredClip(half_precision(c.values), c.statistics())
            for name, c in zip(self.features, computed, strict=True)
        }

    def predict_stored(self, stored: Mapping[str, Sequence[StoredClip]]) -> Prediction:
        """Classify a track from its clips' representations, by store name; each is computed once for all members."""
        probabilities, embeddings = [], []
        for member, weight in zip(self.ensemble.members, self.ensemble.weights, strict=True):
            config = member.config
            parts = {
                name: torch.from_numpy(clip_windows(stored[r.store_name()], config, r, member.scaling_of(name)))
                for name, r in config.audio_inputs().items()
            }
            windows: Inputs = parts.get("", parts)
            with torch.inference_mode():
                logits = in_chunks(member.network, windows).numpy()
            probabilities.append(config.task.pool(logits))
            embedding = torch.nn.functional.normalize(embed_windows(member.network, windows), dim=0).numpy()
            embeddings.append(embedding * np.sqrt(weight))  # so that cosines average by weight
        joined = np.concatenate(embeddings)
        return Prediction(
            self.classes,
            weighted_mean(probabilities, self.ensemble.weights),
            unit_length(joined),
        )

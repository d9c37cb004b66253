"""Audio in, probabilities and an embedding out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from tonearm.audio.sources import Source
from tonearm.audio.windows import Clip, load_clips
from tonearm.core.errors import AudioError
from tonearm.core.types import Prediction, Waveform
from tonearm.ensembles.bundle import Ensemble
from tonearm.ensembles.combine import weighted_mean
from tonearm.features.engine import compute_layouts
from tonearm.features.normalisation import half_precision
from tonearm.features.store import StoredClip
from tonearm.models.base import Inputs, Network, in_chunks
from tonearm.tasks.pooling import unit_length
from tonearm.training.bundle import track_embedding
from tonearm.training.windows import clip_windows


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
        for clip in load_clips(source, self.clip, layouts, shortest):
            for name, values in self._as_stored(clip).items():
                stored[name].append(values)
        return self.predict_stored(stored)

    def predict_waveform(self, waveform: Waveform) -> Prediction:
        """Classify a decoded clip, which must have the layout that all members take."""
        stored = self._as_stored(Clip(0, 0.0, {f.layout: waveform for f in self.features.values()}))
        return self.predict_stored({name: [clip] for name, clip in stored.items()})

    def _as_stored(self, clip: Clip) -> dict[str, StoredClip]:
        """The representations of a clip, of the layouts in which it can be used."""
        features = {name: f for name, f in self.features.items() if f.layout in clip.waveforms}
        # float16, as the store keeps them: the same numbers in serving as in training.
        computed = compute_layouts(clip.waveforms, list(features.values()))
        return {
            name: StoredClip(half_precision(c.values), c.statistics(), clip.number, clip.start)
            for name, c in zip(features, computed, strict=True)
        }

    def predict_stored(self, stored: Mapping[str, Sequence[StoredClip]]) -> Prediction:
        """Classify a track from its clips' representations, by store name; each is computed once for all members."""
        probabilities, embeddings = [], []
        for member, weight in zip(self.ensemble.members, self.ensemble.weights, strict=True):
            config = member.config
            clips = _of_the_same_moments({n: stored[r.store_name()] for n, r in config.audio_inputs().items()})
            parts = {
                name: torch.from_numpy(clip_windows(clips[name], config, r, member.scaling_of(name)))
                for name, r in config.audio_inputs().items()
            }
            windows: Inputs = parts.get("", parts)
            with torch.inference_mode():
                logits, embedded = _logits_and_embeddings(member.network, windows)
            probabilities.append(config.task.pool(logits.numpy()))
            embedding = torch.nn.functional.normalize(track_embedding(embedded), dim=0).numpy()
            embeddings.append(embedding * np.sqrt(weight))  # so that cosines average by weight
        joined = np.concatenate(embeddings)
        return Prediction(
            self.classes,
            weighted_mean(probabilities, self.ensemble.weights),
            unit_length(joined),
        )


def _logits_and_embeddings(network: Network, windows: Inputs) -> tuple[torch.Tensor, torch.Tensor]:
    """Of windows: (windows, outputs) and (windows, embedding_dim), in one pass through the network where it has one."""
    both = in_chunks(lambda part: torch.cat(network.logits_and_embedding(part), dim=1), windows)
    return both[:, : -network.embedding_dim], both[:, -network.embedding_dim :]


def _of_the_same_moments(stored: Mapping[str, Sequence[StoredClip]]) -> dict[str, list[StoredClip]]:
    """Of each input the clips that all inputs have, in order."""
    shared = set.intersection(*({c.number for c in clips} for clips in stored.values()))
    if not shared:
        raise AudioError("silent", "no clip of it can be used in all of the model's inputs")
    return {name: [c for c in clips if c.number in shared] for name, clips in stored.items()}

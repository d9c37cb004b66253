"""Audio in, probabilities and an embedding out."""

from __future__ import annotations

import numpy as np
import torch

from tonearm.audio.decode import Source
from tonearm.audio.windows import load_clip
from tonearm.core.types import Prediction, Waveform
from tonearm.ensembles.bundle import Ensemble
from tonearm.ensembles.combine import weighted_mean
from tonearm.features.engine import extract
from tonearm.features.scaling import statistics
from tonearm.features.store import Stored
from tonearm.training.batches import clip_windows
from tonearm.training.bundle import embed_windows


class Classifier:
    """An ensemble (or a single model) that answers for audio it has never seen.

    Parameters
    ----------
    ensemble
        The members.
    """

    def __init__(self, ensemble: Ensemble) -> None:
        self.ensemble = ensemble
        self.classes = ensemble.classes
        self.clip = ensemble.members[0].config.clip
        self.features = {m.config.feature.store_name(): m.config.feature for m in ensemble.members}

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
        configs = [m.config for m in self.ensemble.members]
        rate = next(iter(self.features.values())).sample_rate
        shortest = max(c.min_seconds for c in configs)
        return self.predict_waveform(load_clip(source, self.clip, rate, min_seconds=shortest))

    def predict_waveform(self, waveform: Waveform) -> Prediction:
        """Classify a decoded clip."""
        # float16, as the store keeps them: the same numbers in serving as in training.
        computed = extract(waveform, list(self.features.values()))
        return self.predict_stored({k: Stored(v.astype(np.float16), statistics(v)) for k, v in computed.items()})

    def predict_stored(self, stored: dict[str, Stored]) -> Prediction:
        """Classify a clip from its representations, by store name; each is computed once for all members."""
        probabilities, embeddings = [], []
        for member, weight in zip(self.ensemble.members, self.ensemble.weights, strict=True):
            config = member.config
            windows = torch.from_numpy(clip_windows(stored[config.feature.store_name()], config))
            with torch.inference_mode():
                logits = member.network(windows).numpy()
            probabilities.append(config.task.pool(logits))
            embedding = torch.nn.functional.normalize(embed_windows(member.network, windows), dim=0).numpy()
            embeddings.append(embedding * np.sqrt(weight))  # so that cosines average by weight
        joined = np.concatenate(embeddings)
        return Prediction(
            self.classes,
            weighted_mean(probabilities, self.ensemble.weights),
            (joined / np.linalg.norm(joined)).astype(np.float32),
        )

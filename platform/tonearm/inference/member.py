"""What one member of an ensemble answers for a track, and what the members answer together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from tonearm.core.errors import AudioError
from tonearm.core.precision import float32_products
from tonearm.core.types import FloatArray, Prediction
from tonearm.ensembles.bundle import Ensemble
from tonearm.ensembles.combine import weighted_mean
from tonearm.features.store import StoredClip
from tonearm.models.base import Inputs, Network, in_chunks
from tonearm.tasks.pooling import unit_length
from tonearm.tasks.temperature import apply_temperature
from tonearm.training.bundle import Bundle, track_embedding
from tonearm.training.logits import on_device
from tonearm.training.windows import clip_windows

StoredTrack = Mapping[str, Sequence[StoredClip]]
"""A track's clips by the name of their store."""


@dataclass(frozen=True)
class MemberPrediction:
    """What one network answers for a track.

    Attributes
    ----------
    probabilities
        As the task pools the windows, without temperature, (outputs,).
    embedding
        Of unit length, (dim,).
    """

    probabilities: FloatArray
    embedding: FloatArray


def predict_member(member: Bundle, stored: StoredTrack, device: str = "cpu") -> MemberPrediction:
    """A track's prediction by one network, which is on the device.

    Raises
    ------
    AudioError
        If its inputs have no clip in common.
    """
    config = member.config
    clips = _of_the_same_moments({n: stored[r.store_name()] for n, r in config.audio_inputs().items()})
    parts = {
        name: torch.from_numpy(clip_windows(clips[name], config, r, member.scaling_of(name)))
        for name, r in config.audio_inputs().items()
    }
    windows: Inputs = on_device(parts.get("", parts), device)
    with torch.inference_mode(), float32_products():
        logits, embedded = _logits_and_embeddings(member.network, windows)
    embedding = torch.nn.functional.normalize(track_embedding(embedded), dim=0).cpu().numpy()
    return MemberPrediction(config.task.pool(logits.cpu().numpy()), embedding)


def combine_members(ensemble: Ensemble, answers: Sequence[MemberPrediction]) -> Prediction:
    """The ensemble's prediction of a track from those of its members, in their order."""
    # Multiplied by the root of their weights, so that cosines average by weight.
    embeddings = [a.embedding * np.sqrt(w) for a, w in zip(answers, ensemble.weights, strict=True)]
    probabilities = [
        apply_temperature(member.config.task, a.probabilities, temperature)
        for member, a, temperature in zip(ensemble.members, answers, ensemble.temperatures, strict=True)
    ]
    return Prediction(
        ensemble.classes, weighted_mean(probabilities, ensemble.weights), unit_length(np.concatenate(embeddings))
    )


def _logits_and_embeddings(network: Network, windows: Inputs) -> tuple[torch.Tensor, torch.Tensor]:
    """Of windows: (windows, outputs) and (windows, embedding_dim), in one pass through the network where it has one."""
    both = in_chunks(lambda part: torch.cat(network.logits_and_embedding(part), dim=1), windows)
    return both[:, : -network.embedding_dim], both[:, -network.embedding_dim :]


def _of_the_same_moments(stored: StoredTrack) -> dict[str, list[StoredClip]]:
    """Of each input the clips that all inputs have, in order."""
    shared = set.intersection(*({c.number for c in clips} for clips in stored.values()))
    if not shared:
        raise AudioError("silent", "no clip of it can be used in all of the model's inputs")
    return {name: [c for c in clips if c.number in shared] for name, clips in stored.items()}

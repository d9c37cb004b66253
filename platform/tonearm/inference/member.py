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
from tonearm.features.store import StoredClip
from tonearm.models.base import Inputs, Network, in_chunks
from tonearm.models.mean_kernel import MeanKernelNetwork
from tonearm.training.bundle import Bundle, track_embedding
from tonearm.training.logits import device_of, on_device
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
        (dim,), of unit length; shorter by what the training tracks of a mean kernel do not account for, so that its
        products with theirs are the kernel.
    logits
        Of its windows, float32 (windows, outputs); None where they were not kept.
    """

    probabilities: FloatArray
    embedding: FloatArray
    logits: FloatArray | None = None


def predict_member(member: Bundle, stored: StoredTrack) -> MemberPrediction:
    """A track's prediction by one network, on whatever device that is.

    Raises
    ------
    AudioError
        If its inputs have no clip in common.
    """
    windows = member_windows(member, stored)
    with torch.inference_mode(), float32_products():
        found, embedded = _logits_and_embeddings(member.network, windows)
        direction = torch.nn.functional.normalize(track_embedding(embedded), dim=0)
        if isinstance(member.network, MeanKernelNetwork):
            direction = direction * member.network.share_explained(embedded).mean()
    embedding = direction.cpu().numpy()
    logits = found.cpu().numpy()
    return MemberPrediction(member.config.task.pool(logits), embedding, logits)


def member_windows(member: Bundle, stored: StoredTrack) -> Inputs:
    """The windows of a track, as a network takes them and where it is; one where it hears a track at once.

    Raises
    ------
    AudioError
        If its inputs have no clip in common.
    """
    config, clips = member.config, member_clips(member, stored)
    parts = {
        name: torch.from_numpy(clip_windows(clips[name], config, r, member.scaling_of(name)))
        for name, r in config.audio_inputs().items()
    }
    windows: Inputs = on_device(parts.get("", parts), device_of(member.network))
    return member.network.gather(windows, len(next(iter(parts.values()))))[0]


def member_clips(member: Bundle, stored: StoredTrack) -> dict[str, list[StoredClip]]:
    """Of each input of a network the clips of a track that all of its inputs have.

    Raises
    ------
    AudioError
        If there are none.
    """
    return _of_the_same_moments({n: stored[r.store_name()] for n, r in member.config.audio_inputs().items()})


def combine_members(ensemble: Ensemble, answers: Sequence[MemberPrediction]) -> Prediction:
    """The ensemble's prediction of a track from those of its members, in their order."""
    # Multiplied by the root of their share, so that products average by weight.
    total = sum(ensemble.weights)
    embeddings = [a.embedding * np.float32(np.sqrt(w / total)) for a, w in zip(answers, ensemble.weights, strict=True)]
    together = ensemble.combine([a.probabilities for a in answers])
    return Prediction(ensemble.classes, together, np.concatenate(embeddings))


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

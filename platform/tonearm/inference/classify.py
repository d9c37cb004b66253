"""Audio in, probabilities and an embedding out."""

from __future__ import annotations

from collections.abc import Sequence

from tonearm.audio.sources import Source
from tonearm.audio.windows import Clip, ClipConfig, load_clips
from tonearm.core.types import Prediction, Waveform
from tonearm.ensembles.bundle import Ensemble
from tonearm.features.base import Representation
from tonearm.features.batched import extract_batch
from tonearm.features.engine import compute_layouts
from tonearm.features.normalisation import half_precision
from tonearm.features.store import StoredClip
from tonearm.inference.member import StoredTrack, combine_members, predict_member
from tonearm.tasks.answers import Answer


class Classifier:
    """An ensemble (or a single model) that classifies new audio; each member hears its own clip of it.

    Parameters
    ----------
    ensemble
        The members.
    device
        Where features and networks are computed: ``"cpu"``, or a torch device such as ``"cuda"``; empty: networks where
        they are, features on the CPU.

    Attributes
    ----------
    clips
        The different ones that its members hear.
    clip
        The longest of them.
    features
        All representations by the name of their store.
    """

    def __init__(self, ensemble: Ensemble, device: str = "") -> None:
        self.ensemble, self.device = ensemble, device or "cpu"
        for member in ensemble.members if device else ():
            member.network.to(device)
        self.classes = ensemble.classes
        self.clips = tuple(dict.fromkeys(m.config.clip for m in ensemble.members))
        self.clip = max(self.clips, key=lambda clip: clip.seconds)
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
        return self._combined(self.hear_each(source))

    def hear_each(self, source: Source) -> list[StoredTrack]:
        """What each member hears of encoded audio, as :meth:`hear` has it."""
        heard = self.hear(source)
        return [heard[m.config.clip] for m in self.ensemble.members]

    def read(self, prediction: Prediction) -> Answer:
        """What a prediction says, in the form of the model's task."""
        return self.ensemble.task.read(prediction.probabilities, prediction.labels)

    def hear(self, source: Source) -> dict[ClipConfig, StoredTrack]:
        """What its members hear of encoded audio: of each clip the representations, by store name.

        Raises
        ------
        AudioError
            If it is no usable audio, with the reason.
        """
        heard: dict[ClipConfig, StoredTrack] = {}
        for clip in self.clips:
            features = self._features_of(clip)
            shortest = max(m.config.min_seconds for m in self.ensemble.members if m.config.clip == clip)
            layouts = list(dict.fromkeys(f.layout for f in features.values()))
            found: dict[str, list[StoredClip]] = {name: [] for name in features}
            for part in load_clips(source, clip, layouts, shortest):
                for name, values in as_stored(part, features, self.device).items():
                    found[name].append(values)
            heard[clip] = found
        return heard

    def predict_waveform(self, waveform: Waveform) -> Prediction:
        """Classify a decoded clip, which must have the layout that all members take; those that hear shorter clips
        get its middle."""
        heard = {}
        for clip in self.clips:
            features = self._features_of(clip)
            part = _middle(waveform, clip.seconds) if len(self.clips) > 1 else waveform
            stored = as_stored(Clip(0, 0.0, {f.layout: part for f in features.values()}), features, self.device)
            heard[clip] = {name: [values] for name, values in stored.items()}
        return self._combined([heard[m.config.clip] for m in self.ensemble.members])

    def predict_stored(self, stored: StoredTrack) -> Prediction:
        """Classify a track from its clips' representations, by store name, which all members hear."""
        return self._combined([stored] * len(self.ensemble.members))

    def _features_of(self, clip: ClipConfig) -> dict[str, Representation]:
        """What is computed of a clip, once for all members that hear it."""
        members = (m for m in self.ensemble.members if m.config.clip == clip)
        return {r.store_name(): r for m in members for r in m.config.audio_inputs().values()}

    def _combined(self, stored: Sequence[StoredTrack]) -> Prediction:
        answers = [predict_member(m, own) for m, own in zip(self.ensemble.members, stored, strict=True)]
        return combine_members(self.ensemble, answers)


def as_stored(clip: Clip, chosen: dict[str, Representation], device: str = "cpu") -> dict[str, StoredClip]:
    """The representations of a clip, of the layouts in which it can be used."""
    features = {name: f for name, f in chosen.items() if f.layout in clip.waveforms}
    # float16, as the store keeps them: the same numbers in serving as in training.
    if device == "cpu":
        computed = compute_layouts(clip.waveforms, list(features.values()))
    else:
        computed = extract_batch([clip.waveforms], list(features.values()), device)[0]
    return {
        name: StoredClip(half_precision(c.values), c.statistics(), clip.number, clip.start)
        for name, c in zip(features, computed, strict=True)
    }


def _middle(waveform: Waveform, seconds: float) -> Waveform:
    samples = waveform.samples
    count = min(samples.shape[-1], round(seconds * waveform.sample_rate))
    first = (samples.shape[-1] - count) // 2
    return Waveform(samples[..., first : first + count], waveform.sample_rate)

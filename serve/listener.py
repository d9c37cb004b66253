"""The worker that hears: a plain class, made a deployment in :mod:`serve.app`. One process holds one version."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from serve.heard import FORGOTTEN, MOST, Heard
from serve.maps import MapMaker
from serve.settings import CLIP_SECONDS
from serve.versions import Version
from tonearm.core.threads import limit_threads

if TYPE_CHECKING:
    from tonearm.inference import Classification, Model
    from tonearm.inference.timeline import Moment

logger = logging.getLogger("ray.serve")


class Listener:
    """Holds one version of a model in memory and predicts for encoded audio.

    What is wrong with a recording comes back as a value, ``{"problem": reason, "detail": ...}``: an exception would
    reach the ingress wrapped in Ray's own, with a traceback. So does a model that cannot be loaded, in :meth:`about`,
    where Serve would try again and report no cause.

    Parameters
    ----------
    version
        What is held.
    max_seconds
        Longer recordings are refused.
    allowed_modules
        That the model may import.
    place
        Folder or URI of its bundle, if somebody has fetched it; where it is not there, the version's URI is loaded.
    gpus
        The share of a GPU that it has, where it computes then; 0: on the CPU.
    remembered
        Recordings of which it remembers what it has heard.
    """

    def __init__(
        self, version: Version, max_seconds: float, allowed_modules: Sequence[str] = (), place: str = "",
        gpus: float = 0.0, remembered: int = MOST,
    ) -> None:  # fmt: skip
        limit_threads(1)
        import torch

        torch.set_num_threads(1)
        from tonearm.core import storage
        from tonearm.core.errors import TonearmError
        from tonearm.inference import load
        from tonearm.training.sharing import device_with

        self._version, self._max_seconds, self._heard = version, max_seconds, Heard(remembered)
        self._maps = MapMaker()
        self._one = threading.Lock()  # Serve calls from several threads: at once they would only hold memory
        self._unusable = ""
        try:
            there = place if place and storage.exists(place) else version.uri
            self._model: Model = load(there, allowed_modules, device_with(gpus))
            if self._model.has_catalogue:
                len(self._model.library)  # one that cannot be read is told now, not to the first who asks
            self._warm_up()
        except TonearmError as error:
            self._unusable = f"{type(error).__name__}: {error}"

    def about(self) -> dict[str, Any]:
        """What is held, and where its catalogues are; or what is wrong with it."""
        if self._unusable:
            return {"problem": "unusable", "detail": self._unusable}
        model = self._model
        return {
            "bundle": model.digest,
            "folder": model.folder,
            "has_own_catalogue": model.has_own_catalogue,
            "task": model.ensemble.task.kind,
            "classes": list(model.classes),
            "networks": len(model.ensemble.members),
            "clip_seconds": model.clip.seconds,
            "scores": model.ensemble.metadata.get("test", {}).get("metrics", {}),
        }

    def classify(self, audio: bytes) -> dict[str, Any]:
        """What a recording is."""
        return self._answered(lambda: self._said(self._model.classify(audio)), audio)

    def listen(self, audio: bytes, descriptors: bool) -> dict[str, Any]:
        """What a recording is, as ``said``, and as ``described`` what a library needs to know of it."""

        def answer() -> dict[str, Any]:
            found, described = self._model.listen(audio, descriptors)
            return self._heard.keep(descriptors, {"said": self._said(found), "described": described})

        return self._answered(answer, audio)

    def recall(self, recording: str, descriptors: bool) -> dict[str, Any]:
        """The same of a recording that was heard lately, by the name that it was given."""
        return self._heard.find(recording, descriptors) or FORGOTTEN

    def attributes(self, audio: bytes) -> dict[str, Any]:
        """What is measured of the clips that the model hears: descriptors by name."""

        def answer() -> dict[str, Any]:
            from tonearm.inference.described import measured

            return {"attributes": measured(audio, self._model.clip), **self._signature()}

        return self._answered(answer, audio)

    def map(self) -> dict[str, Any]:
        """The catalogue in two dimensions; made beside what is heard meanwhile, which need not wait for it."""
        from tonearm.core.errors import TonearmError

        try:
            return self._maps.of(self._model.library)
        except TonearmError as error:
            return damaged(error)

    def sample(
        self, source: str, what: str, start: float | None = None, seconds: float | None = None
    ) -> bytes | dict[str, Any]:
        """A ``clip`` or a ``picture`` of a track of the library; of a clip where it begins, and how long it is."""
        from serve.samples import sample_clip, sample_picture
        from tonearm.core.errors import AudioError

        try:
            with self._one:
                if what == "picture":
                    return sample_picture(source)
                return sample_clip(source, start, seconds or CLIP_SECONDS)
        except (AudioError, OSError) as error:
            if start is not None and isinstance(error, AudioError) and error.reason == "empty":
                return {"problem": "behind_its_end", "detail": f"the track ends before {start:g} s: begin earlier"}
            logger.exception("a track of the library cannot be heard")
            return {"problem": "gone", "detail": "the track's recording is not where it was: index the library again"}

    def recommend(self, audio: bytes, question: dict[str, Any]) -> dict[str, Any]:
        """Which tracks sound like a recording, or like what is liked, with the windows that are most alike if they are
        wanted; ``question`` as ``serve.questions`` has it."""
        fields = dict(question)
        windows = fields.pop("windows")

        def answer() -> dict[str, Any]:
            found = self._model.recommend(audio or None, **fields)
            said = {"task": "seeds"} if found.classification is None else self._said(found.classification)
            return said | found.to_dict(windows) | self._signature()

        return self._answered(answer, audio)

    def _answered(self, answer: Callable[[], dict[str, Any]], audio: bytes = b"") -> dict[str, Any]:
        """An answer with the seconds that it took, or what is wrong with what was asked."""
        with self._one:
            return self._timed(answer, audio)

    def _timed(self, answer: Callable[[], dict[str, Any]], audio: bytes) -> dict[str, Any]:
        from tonearm.audio.decode import describe
        from tonearm.core.errors import AudioError, ConfigError, TonearmError

        started = time.perf_counter()
        try:
            if audio:
                describe(audio, self._max_seconds)
            found = answer()
        except AudioError as error:
            return {"problem": error.reason, "detail": error.detail}
        except ConfigError as error:
            return {"problem": "impossible", "detail": str(error)}
        except TonearmError as error:  # of the model, its catalogue or its stores: not of what was asked
            return damaged(error)
        return {**found, "seconds": time.perf_counter() - started}

    def _said(self, found: Classification) -> dict[str, Any]:
        doubts = {"why": found.why or None, "heard": found.heard, "sure": found.sure, "doubt": found.doubt}
        moments = [_moment(moment, self._model.classes) for moment in found.timeline]
        return {**found.answer.to_dict(), **doubts, "timeline": moments, **self._signature()}

    def _signature(self) -> dict[str, str]:
        return self._version.signature(self._model.digest)

    def _warm_up(self) -> None:
        """The first call builds filters, imports and compiles: done here, so that no user waits for it."""
        import numpy as np

        from tonearm.core.types import Waveform
        from tonearm.features.descriptors import describe_music
        from tonearm.features.onsets import RATE

        classifier = self._model
        rate = next(iter(classifier.features.values())).sample_rate
        noise = np.random.default_rng(0).normal(0, 0.1, (1, round(classifier.clip.seconds * rate)))
        classifier.predict_waveform(Waveform(noise.astype(np.float32), rate))
        describe_music(Waveform(noise[:, :RATE].astype(np.float32), RATE))


def _moment(moment: Moment, classes: Sequence[str]) -> dict[str, Any]:
    """A window as JSON types, with its greatest output."""
    best = int(moment.outputs.argmax())
    return {"start": moment.start, "end": moment.end, "name": classes[best], "value": float(moment.outputs[best])}


def damaged(error: Exception) -> dict[str, Any]:
    """The problem of a model or catalogue that is damaged: what is wrong, with its places, is for the log."""
    reference = uuid.uuid4().hex[:12]
    logger.exception("answer failed, reference %s", reference, exc_info=error)
    said = f"the model or its catalogue is damaged; this is our fault, and the log has it under {reference}"
    return {"problem": "damaged", "detail": said}

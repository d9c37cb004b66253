"""What is known of a recording that is asked with: its place, descriptors, predictions, and the digest of its bytes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from tonearm.audio.sources import Source, as_source
from tonearm.audio.windows import ClipConfig, load_clips
from tonearm.core import storage
from tonearm.core.seeding import digest
from tonearm.core.types import FloatArray, Prediction
from tonearm.features.descriptor_means import describe_track
from tonearm.features.descriptors import DESCRIPTORS, describe_music
from tonearm.pipelines.decoding import ANALYSIS_LAYOUT, LOUDNESS_LAYOUT
from tonearm.recommend.attributes import PREDICTED, PROBABILITIES
from tonearm.recommend.library import Library

PREDICTIONS = 3  # labels, the most probable ones


@dataclass(frozen=True, eq=False)
class Described:
    """What a library needs to know of a recording; it can be sent to another process.

    Attributes
    ----------
    embedding
        float32 (dim,), of the model's space.
    known
        Descriptors and predicted labels, by the names of a library's columns.
    contents
        Digests of its bytes, as :func:`contents_of` has them.
    """

    embedding: FloatArray
    known: dict[str, Any]
    contents: tuple[str, str]

    @property
    def descriptors(self) -> dict[str, Any]:
        """What was measured, by name."""
        return {name: value for name, value in self.known.items() if name not in (PREDICTED, PROBABILITIES)}

    def known_to(self, library: Library) -> dict[str, Any]:
        """What a library's rows say, too."""
        names = set(library.names())
        return {name: value for name, value in self.known.items() if name in names}


def describe_source(source: Source, clip: ClipConfig, prediction: Prediction, descriptors: bool) -> Described:
    """Describe a recording; with its descriptors, if they are wanted, which are those of the clips that the model
    hears, as extraction measures them.

    Raises
    ------
    AudioError
        If it is no usable audio.
    """
    found: dict[str, Any] = measured(source, clip) if descriptors else {}
    order = np.argsort(-prediction.probabilities, kind="stable")[:PREDICTIONS]
    found[PREDICTED] = [prediction.labels[i] for i in order]
    found[PROBABILITIES] = [float(prediction.probabilities[i]) for i in order]
    return Described(prediction.embedding, found, contents_of(source))


def measured(source: Source, clip: ClipConfig) -> dict[str, Any]:
    """The descriptors of a recording's clips, by name; without those that are not known.

    Raises
    ------
    AudioError
        If it is no usable audio.
    """
    clips = load_clips(source, clip, [ANALYSIS_LAYOUT], unvalidated_layouts=[LOUDNESS_LAYOUT])
    each = [describe_music(c.waveforms[ANALYSIS_LAYOUT], c.waveforms.get(LOUDNESS_LAYOUT)) for c in clips]
    return {name: value for name, value in describe_track(each).items() if value is not None}


def has_descriptors(library: Library) -> bool:
    """Whether any row of a library says a descriptor."""
    return not set(DESCRIPTORS).isdisjoint(library.names())


def contents_of(source: Source) -> tuple[str, str]:
    """The digests of a recording's bytes that :func:`tonearm.datasets.content.is_content` knows; the second one is that
    of rendered recordings."""
    data = as_source(source)
    encoded = data if isinstance(data, bytes) else storage.read_bytes(data)
    return hashlib.blake2b(encoded, digest_size=16).hexdigest(), digest(encoded, size=16)


def rows_of(digests: tuple[str, str], library: Library) -> tuple[int, ...]:
    """The rows of a library that hold a recording, by the digests of its bytes; a file in another encoding is not found
    by them."""
    contents = library.column("content")
    if contents is None:
        return ()
    return tuple(np.flatnonzero((contents == digests[0]) | (contents == digests[1])).tolist())

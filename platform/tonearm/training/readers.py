"""How each kind of input is read for training and for evaluation; a trial has one reader for each of its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, singledispatch
from typing import Any, Protocol

import numpy as np
import torch

from tonearm.core import storage
from tonearm.core.errors import DatasetError, TrainingError
from tonearm.datasets.cifar100 import read_pictures
from tonearm.datasets.manifest import Track
from tonearm.datasets.metadata import Metadata
from tonearm.datasets.vocabulary import Vocabulary, subsample_frequent_words, word_frequencies
from tonearm.features.base import Feature, Representation
from tonearm.features.metadata import PictureFeature, TableFeature, TableScaling, TokensFeature
from tonearm.features.normalisation import TrainingStatistics
from tonearm.features.store import FeatureStore, StoredClip, track_key
from tonearm.training.config import TrialConfig
from tonearm.training.table_reader import TableReader
from tonearm.training.windows import clip_windows, scale_window

FittedTransform = TrainingStatistics | TableScaling | Vocabulary | None
"""What was fitted to an input's training split: scaling or vocabulary."""


@dataclass(frozen=True)
class WindowPosition:
    """Which window of a track: its clip and its first frame; of inputs that are not audio there is one."""

    clip: int = 0
    start: int = 0


class Reader(Protocol):
    """Reads one input of a trial."""

    @property
    def fitted(self) -> FittedTransform:
        """What was fitted to the training split; kept in the bundle."""

    def read(
        self, tracks: Sequence[Track], positions: Sequence[WindowPosition], gains: np.ndarray, seed: int
    ) -> torch.Tensor:
        """Training examples (batch, ...); ``seed`` is of whatever chance the input itself has."""

    def windows(self, track: Track) -> torch.Tensor:
        """The examples that stand for a track in evaluation, (windows, ...)."""


@singledispatch
def make_reader(
    feature: Feature, config: TrialConfig, tracks: Sequence[Track], store: FeatureStore | None, metadata: Metadata
) -> Reader:
    """The reader of an input.

    Parameters
    ----------
    tracks
        All tracks, with splits: what an input needs to know is learned from the training split alone.
    store
        Of a representation.
    metadata
        Of the data set.
    """
    raise TrainingError(f"there is no reader for an input of kind {feature.kind!r}")


@make_reader.register
def _(
    feature: Representation,
    config: TrialConfig,
    tracks: Sequence[Track],
    store: FeatureStore | None,
    metadata: Metadata,
) -> Reader:
    if store is None:
        raise TrainingError(f"the representation {feature.brief()} has no store: extract it first")
    return StoreReader(feature, config, _training(tracks), store)


@make_reader.register
def _(
    feature: TableFeature, config: TrialConfig, tracks: Sequence[Track], store: FeatureStore | None, metadata: Metadata
) -> Reader:
    return TableReader(feature, tracks, metadata)


@make_reader.register
def _(
    feature: TokensFeature, config: TrialConfig, tracks: Sequence[Track], store: FeatureStore | None, metadata: Metadata
) -> Reader:
    return TokensReader(feature, tracks, metadata)


@make_reader.register
def _(
    feature: PictureFeature,
    config: TrialConfig,
    tracks: Sequence[Track],
    store: FeatureStore | None,
    metadata: Metadata,
) -> Reader:
    return PictureReader(feature, metadata)


def _training(tracks: Sequence[Track]) -> list[Track]:
    return [t for t in tracks if t.split == "train"]


class StoreReader:
    """Windows of a stored representation, read memory-mapped, converted and normalised one by one."""

    def __init__(self, feature: Representation, config: TrialConfig, train: Sequence[Track], store: FeatureStore):
        self.feature, self.config, self.store = feature, config, store
        self.frames = config.window.frames_of(feature)
        self.beside: Sequence[StoreReader] = ()  # of the trial's other representations
        self._train = train
        self._keys: dict[str, str] = {}

    @cached_property
    def fitted(self) -> TrainingStatistics:
        """Mean and deviation of the training split."""
        return self.store.training_statistics(self.key(t) for t in self._train)

    def key(self, track: Track) -> str:
        """What the track's values are stored under."""
        if track.content not in self._keys:
            self._keys[track.content] = track_key(track.content, self.config.clip)
        return self._keys[track.content]

    def stored(self, track: Track) -> list[StoredClip]:
        """A track's stored representation: one clip, or all of them if the config takes whole tracks."""
        return [self.store.read(self.key(track), number) for number in self.numbers(self.key(track))]

    def numbers(self, key: str) -> list[int]:
        """Numbers of the clips that this store and those beside it have; a number is the same time in each."""
        others = [set(other.store.clip_numbers(key)) for other in self.beside]
        found = [number for number in self.store.clip_numbers(key) if all(number in there for there in others)]
        if not found:
            raise TrainingError(f"track key {key} has no clip that can be used in all representations: leave it out")
        return found

    def draw(self, track: Track, rng: np.random.Generator) -> WindowPosition:
        """A random window of a track."""
        key = self.key(track)
        numbers = self.numbers(key)
        clip = numbers[int(rng.integers(len(numbers)))] if len(numbers) > 1 else numbers[0]
        return WindowPosition(clip, int(rng.integers(0, self.store.frames(key, clip) - self.frames + 1)))

    def read(
        self, tracks: Sequence[Track], positions: Sequence[WindowPosition], gains: np.ndarray, seed: int
    ) -> torch.Tensor:
        one = self.feature.is_whole  # whatever window of the inputs beside it was drawn
        where = [(self.key(t), p.clip, 0 if one else p.start) for t, p in zip(tracks, positions, strict=True)]
        # torch converts to float32 several times faster than numpy.
        read = torch.from_numpy(self.store.read_windows(where, self.frames)).float().numpy()
        windows = [
            scale_window(values, self.store.read(key, clip).stats, start, self.feature, self.fitted, float(gain))
            for values, (key, clip, start), gain in zip(read, where, gains, strict=True)
        ]
        return torch.from_numpy(np.stack(windows))

    def windows(self, track: Track) -> torch.Tensor:
        return torch.from_numpy(clip_windows(self.stored(track), self.config, self.feature, self.fitted))


class TokensReader:
    """Texts as tokens, by the training split's vocabulary; frequent words are dropped at random in training."""

    def __init__(self, feature: TokensFeature, tracks: Sequence[Track], metadata: Metadata) -> None:
        self.feature = feature
        self._row = {t.track_id: i for i, t in enumerate(tracks)}
        train = [t.track_id for t in _training(tracks)]
        self.fitted = Vocabulary.build(metadata.texts(train, feature.column), feature.vocabulary, feature.fewest)
        texts = metadata.texts(self._row, feature.column)
        self._tokens = np.empty((len(texts), feature.length), np.int32)  # half of what they are read as
        for row, text in enumerate(texts):
            self._tokens[row] = self.fitted.encode(text, feature.length)
        self._frequencies = word_frequencies(self._tokens[[self._row[i] for i in train]], self.fitted.size)

    def read(
        self, tracks: Sequence[Track], positions: Sequence[WindowPosition], gains: np.ndarray, seed: int
    ) -> torch.Tensor:
        tokens = self._tokens[[self._row[t.track_id] for t in tracks]].astype(np.int64)
        if self.feature.drop_threshold:
            rng = np.random.default_rng(seed)
            tokens = subsample_frequent_words(tokens, self._frequencies, rng, self.feature.drop_threshold)
        return torch.from_numpy(tokens)

    def windows(self, track: Track) -> torch.Tensor:
        return torch.from_numpy(self._tokens[[self._row[track.track_id]]].astype(np.int64))


class PictureReader:
    """RGB pictures, 0..1, decoded when they are read; a file of many is opened once."""

    fitted: FittedTransform = None

    def __init__(self, feature: PictureFeature, metadata: Metadata) -> None:
        self.feature, self._metadata = feature, metadata
        self._files: dict[str, np.ndarray] = {}

    def _picture(self, track: Track) -> torch.Tensor:
        (place,) = self._metadata.texts([track.track_id], self.feature.column)
        if not place:
            raise DatasetError(f"track {track.track_id!r} has no {self.feature.column}: leave it out")
        file, _, row = place.rpartition("#")
        if file and row.isdecimal():
            if file not in self._files:
                self._files[file] = read_pictures(file)
            if int(row) >= len(self._files[file]):
                raise DatasetError(f"{file} holds {len(self._files[file])} pictures, none is number {row}")
            picture = torch.from_numpy(self._files[file][int(row)].copy()).float() / 255  # which is read-only
        else:
            picture = torch.from_numpy(_decode(place)).float() / 255
        size = (self.feature.size, self.feature.size)
        if picture.shape[1:] != size:
            picture = torch.nn.functional.interpolate(picture[None], size, mode="bilinear", antialias=True)[0]
        return picture.clamp(0, 1)

    def read(
        self, tracks: Sequence[Track], positions: Sequence[WindowPosition], gains: np.ndarray, seed: int
    ) -> torch.Tensor:
        return torch.stack([self._picture(t) for t in tracks])

    def windows(self, track: Track) -> torch.Tensor:
        return self._picture(track)[None]


def _decode(uri: str) -> np.ndarray:
    """uint8 of shape (3, height, width)."""
    import io

    from PIL import Image

    try:
        with Image.open(io.BytesIO(storage.read_bytes(uri))) as picture:
            pixels: Any = np.array(picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:  # all of them Pillow's
        raise DatasetError(f"the picture {uri} cannot be read ({error}): replace it, or leave its track out") from None
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))

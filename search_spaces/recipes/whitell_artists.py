"""Whitell 2019: artists as vectors, and what predicts an artist's vector from audio, words, pictures and metadata."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from search_spaces.recipes.whitell import MAX_EPOCHS, ONCE, SINGLE, SOURCE, WHOLE_CLIP
from tonearm.datasets import ArtistsConfig
from tonearm.features.base import Feature
from tonearm.features.metadata import (
    ArtistsFeature,
    CompositeFeature,
    NamedFeature,
    PictureFeature,
    TableFeature,
    TokensFeature,
)
from tonearm.features.presets import PRESETS
from tonearm.models import (
    AlbumsConfig,
    ArtistTableConfig,
    ColdStartConfig,
    FreqConfig,
    LargeRnnConfig,
    LyricsConfig,
    ModelConfig,
    RecommendationConfig,
    TimeConfig,
)
from tonearm.models.cold_start import JOINED
from tonearm.tasks import Embedding, Relations
from tonearm.training.config import DatasetRef, OptimConfig, TrialConfig, WindowConfig
from tonearm.training.optim import Round
from tonearm.training.recipe import Recipe, Stage

DIMENSION = 800
FRACTIONS = (0.8, 0.1, 0.1)
VECTOR = "artist_vector"
TABLE = "artist_table"
RECURRENT = OptimConfig(lr=5e-5, batch_size=8, epochs=MAX_EPOCHS, patience=4, clip_norm=1.0, rounds=(Round(lr=1e-5),))
VARIANTS: dict[str, tuple[tuple[str, ...], float]] = {
    "audio": ((), 0.485),
    "albums": (("albums",), 0.488),
    "year": (("year",), 0.496),
    "location": (("latitude", "longitude"), 0.539),
    "lyrics": (("lyrics",), 0.540),
    "all": (("lyrics", "albums", "latitude", "longitude", "year"), 0.567),
}


def artists_stage() -> Stage:
    """The table of artists' vectors, learned from who is related to whom."""
    config = TrialConfig(
        dataset=DatasetRef(name="artists"),
        feature=ArtistsFeature(),
        model=ArtistTableConfig(),
        task=Relations(dimension=DIMENSION),
        window=ONCE,
        optim=OptimConfig(
            lr=1e-3, batch_size=32, epochs=MAX_EPOCHS, patience=2,
            rounds=(Round(lr=5e-4, batch_size=16), Round(lr=1e-5, batch_size=1)),
        ),
    )  # fmt: skip
    return Stage(TABLE, config, data=ArtistsConfig(audio=False))


def regression(name: str, feature: Feature, model: ModelConfig, optim: OptimConfig, window: WindowConfig) -> Stage:
    """A network that predicts the vector of a track's artist."""
    config = TrialConfig(
        dataset=DatasetRef(name="artists"), feature=feature, model=model, task=Embedding(target=VECTOR), window=window,
        optim=optim,
    )  # fmt: skip
    return Stage(name, config, vectors={VECTOR: TABLE})


def convolutional(name: str, model: ModelConfig, representation: str) -> Stage:
    """Time or Freq on a spectrogram."""
    optim = OptimConfig(lr=1e-3, batch_size=8, epochs=MAX_EPOCHS, patience=10)
    return regression(name, PRESETS[representation], model, optim, WHOLE_CLIP)


def branch(name: str) -> Stage:
    """The network that gives one of the recommendation's vectors."""
    return BRANCHES[name]()


BRANCHES: dict[str, Callable[[], Stage]] = {
    "mel_time": lambda: convolutional("mel_time", TimeConfig(), "mel"),
    "mel_freq": lambda: convolutional("mel_freq", FreqConfig(), "mel"),
    "cqt_time": lambda: convolutional("cqt_time", TimeConfig(), "cqt"),
    "cqt_freq": lambda: convolutional("cqt_freq", FreqConfig(), "cqt"),
    "chroma": lambda: regression("chroma", PRESETS["chroma"], LargeRnnConfig(), RECURRENT, WHOLE_CLIP),
    "mfcc": lambda: regression("mfcc", PRESETS["mfcc"], LargeRnnConfig(), RECURRENT, WHOLE_CLIP),
    "lyrics": lambda: regression(
        "lyrics", TokensFeature(), LyricsConfig(),
        RECURRENT.replace({"batch_size": 16, "rounds": (Round(lr=1e-5), Round(lr=1e-6))}), ONCE,
    ),
    "albums": lambda: regression(
        "albums", PictureFeature(size=640), AlbumsConfig(),
        OptimConfig(lr=1e-5, batch_size=6, epochs=MAX_EPOCHS, patience=4, rounds=(Round(lr=1e-6),)), ONCE,
    ),
}  # fmt: skip
BRANCH_DROPOUT = 0.3  # ours
AUDIO = ("mel_time", "mel_freq", "cqt_time", "cqt_freq", "chroma", "mfcc")
METADATA = ("latitude", "longitude", "year")


def recommendation(extra: Sequence[str], cosine: float) -> Recipe:
    """All branches, then the network that joins their vectors."""
    predicted = [*AUDIO, *(name for name in extra if name in BRANCHES)]
    parts = [NamedFeature(name=n, feature=TableFeature(columns=(n,), width=DIMENSION, scaling="unit", missing="keep"))
             for n in predicted]  # fmt: skip
    parts += [NamedFeature(name=n, feature=TableFeature(columns=(n,), scaling="standard", missing="keep"))
              for n in extra if n in METADATA]  # fmt: skip
    config = TrialConfig(
        dataset=DatasetRef(name="artists"),
        feature=CompositeFeature(inputs=tuple(parts)),
        model=RecommendationConfig(),
        task=Embedding(target=VECTOR),
        window=ONCE,
        optim=OptimConfig(lr=1e-5, batch_size=8, epochs=MAX_EPOCHS, patience=4),
    )
    joined = Stage(JOINED, config, vectors={VECTOR: TABLE, **{n: n for n in predicted}})
    stages = (artists_stage(), *(branch(n) for n in predicted), joined)
    return Recipe(ArtistsConfig(), stages, SOURCE, f"mean cosine {cosine:.3f}", fractions=FRACTIONS)


def artist_recommender() -> Recipe:
    """Recommends artists by audio, and by lyrics, art, place and year where they are known; places a bare recording.

    Nothing is learned of artists of the test split: the table holds out their relations, too.
    """
    whole = recommendation(VARIANTS["all"][0], 0.0)
    stages = []
    for stage in whole.stages:
        if stage.name == JOINED:
            config = stage.config.replace({"model.branch_dropout": BRANCH_DROPOUT})
            stages.append(dataclasses.replace(stage, config=config))
        elif stage.name == TABLE:
            stages.append(dataclasses.replace(stage, config=stage.config.replace({"task.held_out": True})))
        else:
            stages.append(dataclasses.replace(stage, optional=stage.name in ("lyrics", "albums")))
    parts = tuple(NamedFeature(name=n, feature=PRESETS[n]) for n in ("mel", "cqt", "chroma", "mfcc"))
    members = {name: name for name in (*AUDIO, JOINED)}
    placing = regression("artist_recommender", CompositeFeature(inputs=parts), ColdStartConfig(), OptimConfig(epochs=1),
                         WHOLE_CLIP)  # fmt: skip
    stages.append(dataclasses.replace(placing, members=members))
    return dataclasses.replace(whole, stages=tuple(stages), source=f"{SOURCE}, and ours", published="")


def _variant(name: str) -> Callable[[], Recipe]:
    extra, cosine = VARIANTS[name]

    def recipe() -> Recipe:
        return recommendation(extra, cosine)

    recipe.__doc__ = f"Artist vectors: audio{'' if name == 'audio' else f' and {name}'}, all branches joined."
    return recipe


def _embedding(name: str, stages: Callable[[], tuple[Stage, ...]], cosine: float | None = None, ensemble: bool = False
               ) -> Callable[[], Recipe]:  # fmt: skip
    def recipe() -> Recipe:
        published = "" if cosine is None else f"mean cosine {cosine:.3f}"
        stated = (artists_stage(), *stages())
        return Recipe(ArtistsConfig(), stated, SOURCE, published, ensemble, fractions=FRACTIONS)

    recipe.__doc__ = f"Artist vectors: {name}."
    return recipe


def _embedding_single(model: str, name: str) -> Callable[[], Recipe]:
    """One of the networks whose mean is ``embedding_mel`` or ``embedding_cqt``, or Simple beside them."""
    what = f"{model.capitalize()} on {name}"
    return _embedding(what, lambda: (convolutional(f"{name}_{model}", SINGLE[model], name),))


def artist_table() -> Recipe:
    """Artist vectors themselves, from who is related to whom."""
    return Recipe(ArtistsConfig(audio=False), (artists_stage(),), SOURCE, "mean Jaccard overlap 0.5488")


RECIPES: dict[str, Callable[[], Recipe]] = {
    "artist_table": artist_table,
    "embedding_mel": _embedding(
        "the mean of Time and Freq on mel", lambda: (branch("mel_time"), branch("mel_freq")), 0.404, True
    ),
    "embedding_cqt": _embedding(
        "the mean of Time and Freq on cqt", lambda: (branch("cqt_time"), branch("cqt_freq")), 0.394, True
    ),
    **{f"embedding_{model}_{name}": _embedding_single(model, name) for model in SINGLE for name in ("mel", "cqt")},
    "large_rnn_mfcc": _embedding("LargeRNN on mfcc", lambda: (branch("mfcc"),), 0.311),
    "large_rnn_chroma": _embedding("LargeRNN on chroma", lambda: (branch("chroma"),), 0.270),
    "lyrics": _embedding("lyrics", lambda: (branch("lyrics"),), 0.366),
    "albums": _embedding("album covers", lambda: (branch("albums"),), 0.205),
    **{f"recommendation_{name}": _variant(name) for name in VARIANTS},
    "artist_recommender": artist_recommender,
}

"""Artists as vectors: the table itself, what predicts a vector, and the network that joins all predictions.

The table, and the branches of the recommendation, are trained before the sweep: once for all seeds, since their
predictions for every track are a part of the data.
"""

from __future__ import annotations

from collections.abc import Callable

from search_spaces.fields import (
    AUGMENTATION,
    DROPOUT,
    GAIN,
    NORMALISATION,
    SWEPT_EPOCHS,
    WINDOWS,
    Fields,
    changed,
    only,
    optimiser,
    rates,
)
from search_spaces.recipes import RECIPES
from search_spaces.recipes.whitell import SINGLE
from search_spaces.recipes.whitell_artists import TABLE, VARIANTS
from tonearm.features.presets import PRESETS
from tonearm.models import FreqConfig, TimeConfig
from tonearm.sweeps import Asha, Choice, Full, Gp, Grid, LogUniform, Median, SearchSpace, Tpe, Uniform

#: Less than a decade: the rounds that follow are at 1e-5 and less.
RECURRENT: Fields = {
    **optimiser(5e-5, (8, 16, 32), decades=0.6),
    "optim.clip_norm": Choice(0.5, 1.0, 5.0),
    "model.layer_dropout": Uniform(0.0, 0.5),
    **DROPOUT,
}
SPECTROGRAMS: dict[str, Fields] = {
    "mel": {"feature.n_fft": Choice(2048, 4096, 8192), "feature.n_mels": Choice(128, 256)},
    "cqt": {"feature": Choice(*(changed("cqt", bins_per_octave=b, n_bins=7 * b) for b in (12, 24, 36)))},
}
SEQUENCES = {
    "mfcc": Choice(*(changed("mfcc", n_mfcc=count) for count in (13, 21, 41))),
    "chroma": Choice(*(changed("chroma", bins_per_octave=b, n_bins=7 * b) for b in (12, 24, 36))),
}
LAYERS = Choice("256,512,1024", "256,256,256", "512,512", "512")


def artist_table() -> SearchSpace:
    """The table of artists' vectors: length, distance, random artists, rate, batch size; how short a vector may be."""
    return SearchSpace(
        base=RECIPES["artist_table"](),
        over={
            "task.dimension": Choice(100, 200, 400, 800),
            "model.distance": Choice("cosine", "euclidean"),
            "task.negatives": Choice(1, 4),
            "task.sampling": Choice("uniform", "popularity"),
            "optim.lr": LogUniform(5e-4, 5e-3),  # the next round's is 5e-4
            "optim.batch_size": Choice(16, 32, 64),
            "optim.weight_decay": LogUniform(1e-8, 1e-4),
        },
        trials=16,
        scheduler=Full(),  # a round ends by itself, after two epochs without a better one
    )


def _embedding(name: str) -> Callable[[], SearchSpace]:
    def space() -> SearchSpace:
        base = only(f"embedding_{name}", TABLE, f"{name}_time")
        return SearchSpace(
            base=base.replace({f"{name}_time.optim.epochs": SWEPT_EPOCHS}),
            over={
                **SPECTROGRAMS[name],
                **NORMALISATION,
                "model": Choice(TimeConfig(), FreqConfig()),
                "model.long_width": Choice(2, 4),
                **DROPOUT,
                **WINDOWS,
                **AUGMENTATION,
                **GAIN,
                **optimiser(1e-3, (8, 16, 32)),
            },
            trials=40,
            search=Tpe(startup=12),
            seeding="own",
        )

    space.__doc__ = (
        f"Artist vectors from {name}, the members of the published mean: model, input, augmentation and optimiser; "
        "then tonearm select."
    )
    return space


def embedding_networks() -> SearchSpace:
    """Artist vectors: Time, Freq and Simple as published, on mel and cqt, with three seeds and paired tests."""
    return SearchSpace(
        base=RECIPES["embedding_time_mel"](),
        over={"feature": Choice(PRESETS["mel"], PRESETS["cqt"]), "model": Choice(*SINGLE.values())},
        search=Grid(),
        scheduler=Full(),
        seeds=3,
    )


def _recurrent(name: str) -> Callable[[], SearchSpace]:
    def space() -> SearchSpace:
        return SearchSpace(
            base=RECIPES[f"large_rnn_{name}"](),
            over={
                "feature": SEQUENCES[name],
                **NORMALISATION,
                "model.widths": LAYERS,
                **AUGMENTATION,
                **RECURRENT,
            },
            trials=24,
            search=Tpe(),
            scheduler=Median(),
        )

    space.__doc__ = f"Artist vectors from {name}: input, LSTM layers, dropout and optimiser; audio's weakest branches."
    return space


def lyrics() -> SearchSpace:
    """Artist vectors from lyrics: vocabulary, length, dropped words, layers and optimiser; the best single branch."""
    return SearchSpace(
        base=RECIPES["lyrics"](),
        over={
            "feature.vocabulary": Choice(5_000, 20_000, 50_000),
            "feature.length": Choice(100, 200, 400),
            "feature.drop_threshold": Choice(1e-4, 1e-3, 1e-2, 0.0),
            "model.word_dim": Choice(100, 200, 300),
            "model.widths": LAYERS,
            **RECURRENT,
        },
        trials=30,
        search=Tpe(),
        scheduler=Median(),
    )


def albums() -> SearchSpace:
    """Artist vectors from album covers: size of picture and network, dropout and optimiser; few trials, since dear."""
    return SearchSpace(
        base=RECIPES["albums"](),
        over={
            "feature.size": Choice(224, 320, 640),
            "model.width_mult": Choice(0.5, 0.75, 1.0),
            "model.dropout": Uniform(0.0, 0.5),
            "optim.lr": rates(1e-5, 0.9),  # the next round's is 1e-6
            "optim.batch_size": Choice(6, 12, 24),
            "optim.weight_decay": LogUniform(1e-6, 1e-2),
        },
        trials=16,
        search=Gp(startup=6),
        scheduler=Median(),
    )


def _recommendation(name: str) -> Callable[[], SearchSpace]:
    extra, _ = VARIANTS[name]
    fields: Fields = {}
    if "latitude" in extra:
        fields |= {"model.coordinate": Choice(32, 128), "model.location": Choice("512", "128")}
    if "year" in extra:
        fields |= {"model.year": Choice("512", "128", "32")}

    def space() -> SearchSpace:
        return SearchSpace(
            base=RECIPES[f"recommendation_{name}"](),
            over={
                "model.vector": Choice("1024,512", "512"),
                "model.each": Choice(512, 1024),
                "model.pair": Choice("2048,1024,512", "1024,512"),
                **fields,
                "model.joined": Choice("4096,2048,1024", "2048,1024", "1024"),
                "model.branch_dropout": Choice(0.0, 0.15, 0.3, 0.5),
                **DROPOUT,
                **optimiser(1e-5, (8, 16, 32, 64)),
            },
            trials=20,
            search=Gp(),
            scheduler=Asha(),
        )

    what = {"audio": "audio", "all": "audio and all else"}.get(name, f"audio and {name}")
    space.__doc__ = (
        f"Artist vectors, {what} joined: layers, dropout, that of branches, optimiser; they are trained once."
    )
    return space


SPACES: dict[str, Callable[[], SearchSpace]] = {
    "artist_table": artist_table,
    **{f"embedding_{name}": _embedding(name) for name in SPECTROGRAMS},
    "embedding_networks": embedding_networks,
    **{f"large_rnn_{name}": _recurrent(name) for name in SEQUENCES},
    "lyrics": lyrics,
    "albums": albums,
    **{f"recommendation_{name}": _recommendation(name) for name in VARIANTS},
}

"""Genres of the Free Music Archive: each model on each of the six representations, and what is stacked on them."""

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
)
from search_spaces.recipes import RECIPES
from search_spaces.recipes.whitell import MULTI_LABEL, SINGLE
from tonearm.features.presets import PRESETS, THESIS_PRESETS
from tonearm.models import FreqConfig, TimeConfig
from tonearm.sweeps import Asha, Choice, Full, Grid, LogUniform, SearchSpace, Tpe, Uniform

#: Bands of mel that leave something of the maps: Simple needs 133 rows, Freq 98 with kernels of 13.
BANDS = {"simple": (192, 256), "time": (64, 128, 256), "freq": (128, 192, 256)}
#: Rows of the constant-Q transform are seven octaves; of 84 Simple would leave nothing.
OCTAVES = {"simple": (24, 36, 48), "time": (12, 24, 36), "freq": (12, 24, 36)}
WIDTHS = ("16,32,64,128,256", "8,16,32,64,128", "32,64,128,256,512", "16,32,64,128")
DEEPER = "16,32,64,128,256,256"
#: The thesis' divisors, longer kernels, and shorter ones.
FREQ_DIVISORS = {
    "stft": ("6-256", "3,6,16,32,64,128", "12,24,64,128,256,512"),
    "stft_halved": ("6-256", "3,6,16,32,64,128", "12,24,64,128,256,512"),
    "mel": ("6-64", "3-32", "12-128"),
    "cqt": ("4-48", "2,3,4,6,12,24", "6,8,12,21,42,84"),
    "chroma": ("1-12", "1,2,3,4", "3,4,6,12"),
    "mfcc": ("1-12", "1,2,3,4", "3,4,6,12"),
}
SHORT = ("chroma", "mfcc")


def inputs(model: str, name: str) -> Fields:
    """How the representation is computed, in at most twelve ways."""
    if name == "stft":
        return {"feature.n_fft": Choice(1024, 2048, 4096)}
    if name == "stft_halved":
        return {"feature.n_fft": Choice(2048, 4096, 8192)}
    if name == "mel":
        return {"feature.n_fft": Choice(1024, 2048, 4096, 8192), "feature.n_mels": Choice(*BANDS[model])}
    if name == "mfcc":
        coefficients = tuple(changed("mfcc", n_mfcc=count) for count in (13, 21, 41))
        return {"feature": Choice(*coefficients), "feature.n_fft": Choice(2048, 4096)}
    octaves = OCTAVES["time" if name == "chroma" else model]
    options = tuple(changed(name, bins_per_octave=bins, n_bins=7 * bins) for bins in octaves)
    return {"feature": Choice(*options)}


def kernels(model: str, name: str) -> Fields:
    """Kernel shapes, widths and depth."""
    if model == "simple":
        return {"model.width": Choice(4, 8, 16)}
    # Time pools along time where there are few rows: that leaves room for fewer and shorter layers.
    short_time = model == "time" and name in SHORT
    return {
        "model.divisors": Choice(*(("4-96", "2-48", "8-192") if model == "time" else FREQ_DIVISORS[name])),
        "model.long_width": Choice(1, 2, 4),
        "model.separable_length": Choice(*separable_lengths(model, name)),
        "model.widths": Choice(*WIDTHS, *(() if short_time else (DEEPER,))),
    }


def separable_lengths(model: str, name: str) -> tuple[int, ...]:
    """Kernels of the separable layers: 84 rows of cqt leave Freq nothing of 13."""
    if name in SHORT:
        return (3, 5, 9)
    return (5, 9) if (model, name) == ("freq", "cqt") else (5, 9, 13)


def _single(model: str, name: str) -> Callable[[], SearchSpace]:
    def space() -> SearchSpace:
        return SearchSpace(
            base=RECIPES[f"{model}_{name}"]().replace({"optim.epochs": SWEPT_EPOCHS}),
            over={
                **inputs(model, name),
                **NORMALISATION,
                **kernels(model, name),
                **DROPOUT,
                **WINDOWS,
                **AUGMENTATION,
                **({} if name in SHORT else GAIN),
                **optimiser(1e-3, (8, 16, 32)),
            },
            trials=60,
            search=Tpe(startup=16),
            scheduler=Asha(),
        )

    space.__doc__ = (
        f"Genre, {model.capitalize()} on {name}: how the input is made, kernel shapes, augmentation and optimiser; "
        "what tuning adds to the thesis' figure."
    )
    return space


def _stacked(name: str) -> Callable[[], SearchSpace]:
    def space() -> SearchSpace:
        return SearchSpace(base=RECIPES[f"time_freq_{name}"](), over=head(1e-3, "256,128"), trials=24)

    space.__doc__ = (
        f"Genre, TimeFreq on {name}: the layers on its frozen members; whether stacking beats their plain mean."
    )
    return space


def head(lr: float, published: str) -> Fields:
    """The layers on top of frozen members."""
    return {
        "model.hidden": Choice(published, "512,256,128", "128", "32"),
        "model.dropout": Uniform(0.0, 0.7),
        "model.l2": LogUniform(1e-5, 1e-2),
        **optimiser(lr, (8, 16, 32, 64)),
    }


def _recurrent(name: str) -> Callable[[], SearchSpace]:
    def space() -> SearchSpace:
        return SearchSpace(
            base=RECIPES[f"rnn_{name}"](),
            over={
                **inputs("rnn", name),
                **NORMALISATION,
                "model.widths": Choice("256", "256,256", "256,256,256", "128,128,128", "512,512"),
                "model.layer_dropout": Uniform(0.0, 0.5),
                **DROPOUT,
                **WINDOWS,
                **AUGMENTATION,
                "optim.clip_norm": Choice(0.5, 1.0, 5.0),
                **optimiser(1e-3, (8, 16, 32)),
            },
            trials=40,
            search=Tpe(startup=12),
        )

    space.__doc__ = (
        f"Genre, recurrent layers on {name}: input, layers, dropout and optimiser; the thesis' figure is of scrambled "
        "frames, so it should be passed."
    )
    return space


def genre_ensemble() -> SearchSpace:
    """Genre, the ensemble of eight: the layers on its frozen members; the thesis' best figure."""
    return SearchSpace(
        base=RECIPES["genre_ensemble"](), over=head(1e-4, "1024,512,256"), trials=30, search=Tpe(), scheduler=Asha()
    )


def multi_label_networks() -> SearchSpace:
    """All 161 genres: Time, Freq and Simple as published, on three inputs, with three seeds and paired tests."""
    return SearchSpace(
        base=RECIPES["multi_label_time_mel"](),
        over={"feature": Choice(*(PRESETS[n] for n in MULTI_LABEL)), "model": Choice(*SINGLE.values())},
        search=Grid(),
        scheduler=Full(),
        seeds=3,
    )


def multi_label() -> SearchSpace:
    """All 161 genres, the members of the published mean: model, input, weights, optimiser; then tonearm select."""
    return SearchSpace(
        base=only("multi_label", "time_mel").replace({"optim.epochs": SWEPT_EPOCHS}),
        over={
            "feature": Choice(*(PRESETS[name] for name in MULTI_LABEL)),
            **NORMALISATION,
            "model": Choice(TimeConfig(), FreqConfig()),
            **DROPOUT,
            "model.long_width": Choice(2, 4),
            "task.class_weights": Choice("none", "balanced"),
            **AUGMENTATION,
            **optimiser(1e-3, (8, 16, 32)),
        },
        trials=40,
        search=Tpe(startup=12),
        seeding="own",
    )


SPACES: dict[str, Callable[[], SearchSpace]] = {
    **{f"{model}_{name}": _single(model, name) for model in SINGLE for name in THESIS_PRESETS},
    **{f"time_freq_{name}": _stacked(name) for name in THESIS_PRESETS},
    **{f"rnn_{name}": _recurrent(name) for name in SHORT},
    "genre_ensemble": genre_ensemble,
    "multi_label": multi_label,
    "multi_label_networks": multi_label_networks,
}

"""Models by name. They know input shapes and numbers of outputs, never a data set."""

from __future__ import annotations

from typing import Any

from torch import nn

from tonearm.models.albums import AlbumsConfig
from tonearm.models.artist_table import ArtistTableConfig
from tonearm.models.base import InputSpecs, ModelConfig, Network
from tonearm.models.cold_start import ColdStartConfig
from tonearm.models.danceability import Spec2dConfig, Spec3dConfig, Wav1dConfig, Wav2dConfig
from tonearm.models.fused_conditions import fused_execution
from tonearm.models.lyrics import LyricsConfig
from tonearm.models.playlist import PlaylistCnnConfig
from tonearm.models.recurrent import LargeRnnConfig, RnnConfig
from tonearm.models.simple import SimpleConfig
from tonearm.models.stacked import GenreEnsembleConfig, TimeFreqConfig
from tonearm.models.tabular import TabularMlpConfig
from tonearm.models.temporal_pooling import TemporalPoolingConfig
from tonearm.models.time_freq import FreqConfig, TimeConfig
from tonearm.models.tower import RecommendationConfig

__all__ = [
    "AlbumsConfig",
    "ArtistTableConfig",
    "ColdStartConfig",
    "FreqConfig",
    "GenreEnsembleConfig",
    "LargeRnnConfig",
    "LyricsConfig",
    "ModelConfig",
    "Network",
    "PlaylistCnnConfig",
    "RecommendationConfig",
    "RnnConfig",
    "SimpleConfig",
    "Spec2dConfig",
    "Spec3dConfig",
    "TabularMlpConfig",
    "TemporalPoolingConfig",
    "TimeConfig",
    "TimeFreqConfig",
    "Wav1dConfig",
    "Wav2dConfig",
    "count_parameters",
    "create",
    "fused_execution",
]


def create(name: str, inputs: InputSpecs, outputs: int, representation: str | None = None, **config: Any) -> Network:
    """Build a model by name.

    Parameters
    ----------
    name
        A registered model: ``"simple"``, ``"time"``, ``"freq"``, ...
    inputs
        Shape of one example, (channels, freq_bins, frames): tokens are ``InputSpec(1, vocabulary, length)``, vectors
        and tables ``(1, n, 1)``, pictures ``(3, height, width)``. A dict of them for a model with several inputs.
    outputs
        Classes or target dimensions, at least 1.
    representation
        Picks the variant that the source used for it: ``"mel"``, ``"cqt"``, ``"chroma"``, ...
    config
        Fields of the model's config.

    Raises
    ------
    ConfigError
        For an unknown name or field, or a shape that the model cannot work on; all problems at once.
    """
    values = ModelConfig.from_dict({"kind": name, **config})
    if representation is not None:
        values = values.for_representation(representation)
    return values.build(inputs, outputs)


def count_parameters(model: nn.Module) -> int:
    """Numbers stored: weights, and four for each batch-normalised channel (scale, shift, mean, variance)."""
    return sum(value.numel() for name, value in model.state_dict().items() if not name.endswith("num_batches_tracked"))

"""Data sets: every one of them is a manifest of tracks, read without decoding anything."""

from tonearm.datasets.artists import ArtistsConfig
from tonearm.datasets.base import Catalogue, DatasetConfig
from tonearm.datasets.cifar100 import Cifar100Config
from tonearm.datasets.fma import FmaConfig
from tonearm.datasets.folder import FolderConfig
from tonearm.datasets.playlists import PlaylistsConfig
from tonearm.datasets.spotify import SpotifyConfig

__all__ = [
    "ArtistsConfig",
    "Catalogue",
    "Cifar100Config",
    "DatasetConfig",
    "FmaConfig",
    "FolderConfig",
    "PlaylistsConfig",
    "SpotifyConfig",
]

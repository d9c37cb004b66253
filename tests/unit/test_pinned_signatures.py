"""Signatures that lie on people's disks: whoever changes one makes everything that was computed under it unfound.

The values were written down before the rooms of the house were rearranged. A change here is a change of what an
experiment is: then ``DEFINITION`` of the representation, or the release notes, must say so.
"""

from __future__ import annotations

import pytest

from search_spaces import SPACES
from search_spaces.recipes import RECIPES
from tonearm.features.presets import parse_features

STAGES = {
    "time_mel": "425176bf37eab50c",
    "time_freq_mel": "a00685db15776a13",
    "genre_ensemble": "83482d1bcdf7491a",
    "playlist_cnn": "4a6d42018535153e",
    "temporal_pooling": "97c94566c488f0e9",
    "tabular_ensemble": "fc418b6edb04ba18",
    "handcrafted": "addb21f9b9987580",
    "recommendation_all": "78c84eb380eed5f3",
}
DATA = {"time_mel": "17c27910e7027e65", "playlist_cnn": "60521194503e11d7", "tabular_ensemble": "5db04d6b734b491d"}
#: Changed once more when sweeps began to grow: the numbers of trials and seeds are no part of them. That of the demo is
#: of its networks of 64 bands, since it listens first.
SEARCH_SPACES = {"demo": "da11d785c970b06b", "demo_grid": "3d1d9c3e6a623536", "time_or_simple": "56e98d32b42c97ec"}
STORES = {
    "stft": "stft-7c17f174ad4c19d5",
    "stft_halved": "stft_halved-3db98ed2a8a057b3",
    "mel": "mel-58e8832399b4b523",
    "cqt": "cqt-7c31d36704f86821",
    "chroma": "chroma-33ad2796543dafd9",
    "mfcc": "mfcc-d11423e9c07330f2",
    "mel_mid_side": "mel-e2309a9bbe76f046",
    "waveform": "waveform-313682964348654b",
    "level": "summary-9eccca7628bd6519",
    "contrast_moments": "summary-d712658f1b9aab6a",
}


@pytest.mark.parametrize("recipe", STAGES)
def test_a_trial_keeps_its_signature(recipe: str) -> None:
    assert RECIPES[recipe]().stages[-1].config.signature() == STAGES[recipe]


@pytest.mark.parametrize("recipe", DATA)
def test_a_data_set_keeps_its_signature(recipe: str) -> None:
    assert RECIPES[recipe]().data.signature() == DATA[recipe]


@pytest.mark.parametrize("space", SEARCH_SPACES)
def test_a_search_space_keeps_its_signature(space: str) -> None:
    assert SPACES[space]().signature == SEARCH_SPACES[space]


@pytest.mark.parametrize("name", STORES)
def test_a_store_keeps_its_name(name: str) -> None:
    assert [f.store_name() for f in parse_features(name)] == [STORES[name]]

"""The real tables of ``../shared/data``, where they are there: what is known of them is found."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tonearm.datasets import ArtistsConfig, FolderConfig, PlaylistsConfig, SpotifyConfig
from tonearm.datasets.fma import _labels, _read_genres
from tonearm.datasets.tables import read_table

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no real tables: {DATA} is not there")


def test_spotify_has_23_760_tracks_of_the_nine_genres_and_45_percent_are_of_one() -> None:
    found = SpotifyConfig(root=str(DATA / "spotify")).catalogue()
    ((_, most),) = Counter(t.label for t in found.tracks).most_common(1)
    assert len(found.tracks) == 23_760 and round(most / len(found.tracks), 4) == 0.4514 and not found.rejects
    assert any(
        note.startswith("3626 track(s) have several artists and are grouped by the first") for note in found.notes
    )


def test_161_genres_of_fma_occur() -> None:
    titles = _read_genres(DATA / "fma_metadata" / "genres.csv")
    tracks = read_table(DATA / "fma_metadata" / "tracks_genres.parquet", ("track_id", "genres_all"))
    own = [_labels(text, titles, str(i)) for i, text in zip(tracks["track_id"], tracks["genres_all"], strict=True)]
    assert (len(titles), len(own)) == (163, 106_574)
    assert len({genre for labels in own for genre in labels}) == 161


def test_2_821_artists_are_related_and_some_have_a_year_and_a_place() -> None:
    config = ArtistsConfig(root=str(DATA / "artists"), relations_file="hetrec_artist_neighbours_derived.csv",
                           related_column="neighbour", artists_file="msd_artists.csv", audio=False)  # fmt: skip
    relations, found = config.relations(), config.catalogue()
    assert (len(relations), relations.count) == (2_821, 26_282)
    assert found.metadata.of(found.metadata.track_ids, "related").shape == (2_821, 10)
    known = {c: int(np.isfinite(found.metadata.of(found.metadata.track_ids, c)).sum()) for c in ("year", "latitude")}
    assert known == {"year": 376, "latitude": 149}


def test_28_356_tracks_are_on_449_playlists() -> None:
    found = PlaylistsConfig(root=str(DATA / "playlists"), table="spotify_songs.parquet", track_column="track_id",
                            playlist_column="playlist_name", artist_column="track_artist", min_tracks=1,
                            features="tempo, energy", audio=False).catalogue()  # fmt: skip
    assert len(found.tracks) == 28_356 and len({name for t in found.tracks for name in t.all_labels}) == 449
    # Some artists are written in more than one way, and some share a name with another ("A & B", "B").
    groups = Counter(t.group for t in found.tracks)
    assert (len({t.artist for t in found.tracks}), len(groups)) == (10_693, 10_509)
    assert max(groups.values()) <= 0.02 * len(found.tracks)


def test_every_row_of_the_soundtracks_finds_its_clip() -> None:
    found = FolderConfig(root=str(DATA / "soundtracks"), label="soundtrack").catalogue()
    assert len(found.tracks) == 348 and len({t.label for t in found.tracks}) == 13
    assert found.notes == () and not found.rejects

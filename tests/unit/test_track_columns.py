"""Which column of a tracks.csv names the files: by its name where that is clear, by its values where it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders import encode, tone
from tonearm.core.errors import DatasetError
from tonearm.datasets.file_names import FileNames
from tonearm.datasets.folder import scan_folder
from tonearm.datasets.track_columns import MAYBE_PATHS
from tonearm.datasets.track_table import TrackTable, read_track_table

FILES = ["blues/blues.00000.mp3", "blues/blues.00001.mp3", "metal/metal.00000.mp3"]


def read(folder: Path, text: str, files: list[str] = FILES) -> TrackTable:
    (folder / "tracks.csv").write_text(text, encoding="utf-8")
    return read_track_table(folder / "tracks.csv", files)


@pytest.mark.parametrize("named", ["filepath", "filename", "File Path", "song", "path", "track_id", "Pfad"])
@pytest.mark.parametrize("other", ["location", "audio", "Ruta", "fname", "\u043f\u0443\u0442\u044c"])
@pytest.mark.parametrize("first", [True, False])
def test_a_column_of_other_things_is_not_the_files(named: str, other: str, first: bool, tmp_path: Path) -> None:
    columns = [(other, "Berlin", "Paris"), (named, FILES[0], FILES[2]), ("genre", "a", "b")]
    rows = zip(*(columns if first else columns[::-1]), strict=True)
    table = read(tmp_path, "".join(f"{','.join(row)}\n" for row in rows))
    assert [row[other] for row in table.rows.values()] == ["Berlin", "Paris"]
    assert table.column(other) == table.column(other.upper()) == other and len(table.columns) == 3


@pytest.mark.parametrize("named", sorted(MAYBE_PATHS))
@pytest.mark.parametrize("stems", [True, False])
def test_a_column_that_may_name_files_and_does_is_taken_and_told(named: str, stems: bool, tmp_path: Path) -> None:
    cells = ["blues.00000", "metal.00000"] if stems else ["blues.00000.mp3", "of another library.mp3"]
    table = read(tmp_path, f"genre,{named.title()}\na,{cells[0]}\nb,{cells[1]}\n")
    assert table.key == named.title() and table.rows[FILES[0]]["genre"] == "a"
    assert f"column {named.title()!r} of tracks.csv names the files" in table.notes


def test_a_town_that_is_called_as_a_song_names_no_file(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="needs a column path"):
        read(tmp_path, "location,genre\nBerlin,a\nParis,b\nRome,c\n", ["berlin.mp3", "a.mp3"])


def test_what_two_columns_mean_is_the_first_ones(tmp_path: Path) -> None:
    table = read(tmp_path, f"filepath,full_path,genre\n{FILES[0]},/x/y,a\n")
    assert list(table.columns) == ["path", "full_path", "genre"] and table.rows[FILES[0]]["full_path"] == "/x/y"
    table = read(tmp_path, f"filepath,full_path,genre\n/x/y,{FILES[0]},a\n")
    assert table.key == "full_path" and len(table.rows) == 1, "of those called so that which names files"
    table = read(tmp_path, f"album artist,albumartist,path\nA,B,{FILES[0]}\n")
    assert table.rows[FILES[0]]["albumartist"] == "B"


def test_a_column_that_is_called_so_and_names_none_gives_way_to_one_that_does(tmp_path: Path) -> None:
    table = read(tmp_path, "track_id,song,genre\n7,blues.00000.mp3,a\n8,metal.00000.mp3,b\n")
    assert table.key == "song" and len(table.rows) == 2
    table = read(tmp_path, "path,song\nz/1.mp3,x\nz/2.mp3,y\n")
    assert table.key == "path" and "no row of tracks.csv names a file" in " ".join(table.notes)


def test_rows_all_over_the_table_are_looked_at(tmp_path: Path) -> None:
    absent = "".join(f"Berlin,z/{i}.mp3\n" for i in range(1000))
    rows = "".join(f"Paris,{i}.mp3\n" for i in range(1000))
    assert read(tmp_path, f"town,location\n{absent}{rows}", [f"{i}.mp3" for i in range(1000)]).key == "location"


def test_a_label_is_found_by_its_own_spelling(tmp_path: Path) -> None:
    table = read(tmp_path, f"path,License,Album Artist\n{FILES[0]},CC0,Ann\n")
    assert (table.column("license"), table.column("License"), table.column("Licence")) == ("licence",) * 3
    assert table.column("album artist") == "albumartist" and table.column("year") == "" == table.column("")


def test_a_label_location_is_learned(tmp_path: Path) -> None:
    for i in range(6):
        (tmp_path / f"{i}.wav").write_bytes(encode(tone(200 + i, 0.05)))
    rows = "".join(f"{i}.wav,{'Berlin' if i % 2 else 'Paris'}\n" for i in range(6))
    (tmp_path / "Tracks.csv").write_text(f"filename,location\n{rows}")
    assert {t.label for t in scan_folder(str(tmp_path), "location").tracks} == {"Berlin", "Paris"}
    with pytest.raises(DatasetError, match=r"is no column of .*/Tracks\.csv"):
        scan_folder(str(tmp_path), "mood")


LYRICS = "\n".join(["I wait here", "Yesterday", "all my troubles, so far away", "Yesterday, love"] * 10)


@pytest.mark.parametrize("keys", [("Yesterday.mp3", "Help.mp3"), ("Yesterday", "Help")])
def test_lines_of_lyrics_are_no_rows(keys: tuple[str, str], tmp_path: Path) -> None:
    files = ["Yesterday.mp3", "Help.mp3", "Love.mp3"]
    table = read(tmp_path, f'path,lyrics\n{keys[0]},"{LYRICS}"\n{keys[1]},"Help\nLove\nYesterday"\n', files)
    assert len(table.rows) == 2 and table.notes == ()


@pytest.mark.parametrize("header", ["path,mood,n", "mood,path,n", ",path,mood", "path;mood;n", "path, mood, n"])
def test_rows_inside_a_quote_are_told_wherever_the_column_stands(header: str, tmp_path: Path) -> None:
    separator = ";" if ";" in header else ","
    columns = header.replace(" ", "").split(separator)

    def row(name: str, mood: str) -> str:
        return separator.join({"path": name, "mood": mood}.get(c, "1") for c in columns)

    lines = [header, row("blues.00000", '"sad'), row("blues.00001", "x"), row("metal.00000", 'y"')]
    notes = read(tmp_path, "\n".join(lines) + "\n").notes
    assert [note for note in notes if "are inside a quote" in note and "'blues.00001'" in note]


def test_a_line_that_names_no_file_is_told_before_the_indices_are_asked() -> None:
    names = FileNames(["rock/Café.mp3", "Straße.flac"])
    for line in ("all my troubles", "so far, away", "cafés", "caf\u00e9.mp3x.y"):
        assert names.find(line) == ([], 0)
    assert not names._indices, "400 000 lines of lyrics took 20 s"
    assert names.find("CAFE\u0301")[0] == ["rock/Café.mp3"] and names.find("STRASSEN.wav") == ([], 0)
    assert names.find("/x/STRASSE.wav")[0] == ["Straße.flac"]

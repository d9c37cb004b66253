"""A tracks.csv joins what a person means: paths of all kinds, headers, encodings; and tells what it cannot join."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from tests.builders import encode, tone
from tonearm.core.errors import DatasetError
from tonearm.datasets.file_names import FileNames
from tonearm.datasets.folder import FolderConfig, scan_folder
from tonearm.datasets.track_table import TrackTable, read_track_table

FILES = ["blues/blues.00000.mp3", "blues/blues.00001.mp3", "metal/metal.00000.mp3"]


def read(folder: Path, text: str | bytes, files: list[str] = FILES) -> TrackTable:
    data = text if isinstance(text, bytes) else text.encode()
    (folder / "tracks.csv").write_bytes(data)
    return read_track_table(folder / "tracks.csv", files)


@pytest.mark.parametrize(
    "name",
    [
        "blues/blues.00000.mp3", "./blues/blues.00000.mp3", "blues\\blues.00000.mp3", ".\\blues\\blues.00000.mp3",
        "blues.00000.mp3", "blues.00000", "blues/blues.00000", "BLUES/Blues.00000.MP3", "blues//blues.00000.mp3",
        "/home/ann/Music/blues/blues.00000.mp3", "C:\\Users\\Ann\\Music\\blues\\blues.00000.mp3",
        "file:///home/ann/My%20Music/blues/blues.00000.mp3", "genres_original/blues/blues.00000.mp3",
        "blues.00000.au", "blues/blues.00000.wav", " blues/blues.00000.mp3 ",
    ],
)  # fmt: skip
def test_a_row_names_its_file_in_many_ways(name: str, tmp_path: Path) -> None:
    assert read(tmp_path, f"path,mood\n{name},sad\n").rows == {FILES[0]: {"path": name.strip(), "mood": "sad"}}


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_composed_and_decomposed_letters_are_alike(form: str, tmp_path: Path) -> None:
    files = [unicodedata.normalize("NFD" if form == "NFC" else "NFC", "Forró Café/é.mp3")]
    assert list(read(tmp_path, unicodedata.normalize(form, "path\nForró Café/é.mp3\n"), files).rows) == files


def test_what_names_no_file_or_several_is_joined_with_none() -> None:
    names = FileNames(["a/01.mp3", "b/01.mp3", "b/Take.mp3", "b/take.mp3", "c.mp3"])
    assert names.find("01.mp3") == (["a/01.mp3", "b/01.mp3"], 1)
    assert names.find("z/01.mp3") == ([], 0)  # another album's first song is not this one
    assert names.find("a/take.mp3") == ([], 0)
    assert names.find("b/take.mp3") == (["b/take.mp3"], 0) and names.find("Take.mp3") == (["b/Take.mp3"], 1)
    assert names.find("TAKE.MP3") == (["b/Take.mp3", "b/take.mp3"], 1)
    assert names.find("/x/b/01.mp3") == (["b/01.mp3"], 1) and names.find("C:\\x\\c.mp3") == (["c.mp3"], 1)
    assert names.find("") == ([], 0) == names.find("/")


@pytest.mark.parametrize(("name", "joined"), [
    ("rock/01.mp3", False), ("./rock/01.mp3", False), ("rock\\01.wav", False), ("/home/ann/rock/01.mp3", True),
    ("D:\\rock\\01.mp3", True), ("file:///rock/01.mp3", True), ("01.mp3", True), ("jazz/02.mp3", True),
])  # fmt: skip
def test_a_row_of_an_absent_file_is_not_joined_with_a_namesake(name: str, joined: bool, tmp_path: Path) -> None:
    table = read(tmp_path, f"path,mood\n{name},sad\njazz/03.mp3,calm\n", ["01.mp3", "jazz/02.mp3", "jazz/03.mp3"])
    assert len(table.rows) == 1 + joined


def test_few_of_many_namesakes_are_looked_at() -> None:
    names = FileNames([f"{i:05}/01.mp3" for i in range(20_000)])
    for i in range(0, 20_000, 7):
        assert names.find(f"/music/{i:05}/01.mp3") == ([f"{i:05}/01.mp3"], 1)
        assert names.find(f"x{i:05}/01.mp3") == ([], 0)


def test_folders_that_all_rows_have_in_front_do_not_count(tmp_path: Path) -> None:
    rows = "".join(f"music/{i:02}.mp3,sad\n" for i in range(9))
    assert len(read(tmp_path, f"path,mood\n{rows}", [f"{i:02}.mp3" for i in range(6)]).rows) == 6


@pytest.mark.parametrize(
    "header", ["path, mood ", "Path,mood", "FILENAME,mood", " File ,mood", "filepath,mood", "\ufefffile name,mood"]
)
def test_headers_are_stripped_and_their_case_does_not_count(header: str, tmp_path: Path) -> None:
    table = read(tmp_path, f"{header}\nblues.00000.mp3, sad\n")
    assert table.rows[FILES[0]]["mood"] == "sad" and "mood" in table.columns


def test_a_label_is_found_whatever_its_case_and_columns_keep_theirs(tmp_path: Path) -> None:
    table = read(tmp_path, "path,Mood,Tempo,GENRE\nblues.00000,sad,120,Blues\n")
    assert table.columns == ["path", "Mood", "Tempo", "genre"]
    assert (table.column("mood"), table.column("MOOD "), table.column("Genre")) == ("Mood", "Mood", "genre")
    assert table.metadata(FILES).columns == ["Tempo"]
    with pytest.raises(DatasetError, match="two columns 'genre', apart from case and spaces"):
        read(tmp_path, "path,genre,Genre \nblues.00000,a,b\n")


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("quote", ['"', ""])
def test_excels_first_line_names_the_separator(separator: str, quote: str, tmp_path: Path) -> None:
    rows = [f"{quote}sep={separator}{quote}", separator.join(["path", "mood"]), separator.join(["blues.00000", "a"])]
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        assert read(tmp_path, "\r\n".join(rows).encode(encoding)).rows[FILES[0]]["mood"] == "a"


def test_quoted_fields_after_a_space_are_quoted(tmp_path: Path) -> None:
    assert read(tmp_path, 'path, mood\nblues.00000, "sad, slow"\n').rows[FILES[0]]["mood"] == "sad, slow"


@pytest.mark.parametrize("value", ["", "nan", "NaN", "None", "N/A", "n/a", "NULL", "#N/A", "<NA>", "unknown", "-", "?"])
def test_unknown_values_are_left_out(value: str, tmp_path: Path) -> None:
    table = read(tmp_path, f"path,mood,tempo\nblues.00000,{value},100\nmetal.00000,NA,{value}\n")
    assert table.rows[FILES[0]] == {"path": "blues.00000", "tempo": "100"}
    assert table.rows[FILES[2]] == {"path": "metal.00000", "mood": "NA"}
    assert table.metadata(FILES).columns == ["tempo"]


def test_a_quote_that_is_not_closed_is_told(tmp_path: Path) -> None:
    swallowing = 'path,mood\nblues.00000,"sad\nblues.00001,sad\nmetal.00000,"angry"\n'
    with pytest.raises(DatasetError, match=r"a quote that is opened in 'blues.00000,\"sad' is never closed: close it"):
        read(tmp_path, swallowing.replace('"angry"', "angry"))
    assert read(tmp_path, 'path,mood\nblues.00000,"sad\nblues.00001,sad"\nmetal.00000,angry\n').notes == (
        "1 row(s) of tracks.csv are inside a quote that is opened in the row of 'blues.00000' and closed later, e.g. "
        "that of 'blues.00001': close the quote",
    )
    assert read(tmp_path, 'path,text\nblues.00000,"two\nlines, no file"\n').notes == ()


def test_rows_that_contradict_each_other_are_told_and_repeated_ones_do_not(tmp_path: Path) -> None:
    rows = "blues.00000,sad,1\nblues.00000,glad,1\nblues.00000,sad,1\nmetal.00000,x,\nmetal.00000,x,2\n"
    table = read(tmp_path, f"path,mood,n\n{rows}")
    assert table.contradictions == {FILES[0]: {"mood": ("sad", "glad")}}
    assert table.notes == (
        "2 row(s) of tracks.csv come second for a file, e.g. 'blues.00000': left out",
        f"1 row(s) of tracks.csv contradict the first one of their file, e.g. of {FILES[0]!r} mood is 'sad' and 'glad'",
    )


@pytest.fixture
def gtzan(tmp_path: Path) -> Path:
    """Twelve short recordings of each of two genres."""
    root = tmp_path / "gtzan"
    for n, genre in enumerate(("blues", "metal")):
        (root / genre).mkdir(parents=True)
        for i in range(12):
            (root / genre / f"{genre}.{i:05d}.wav").write_bytes(encode(tone(200 + 40 * n + i, 0.05)))
    return root


def gtzan_rows(root: Path, cell: str = "{genre}/{name}") -> list[tuple[str, str]]:
    files = sorted(p for p in root.rglob("*.wav"))
    return [(cell.format(genre=p.parent.name, name=p.name, root=root), p.parent.name) for p in files]


@pytest.mark.parametrize("cell", ["{name}", "{genre}\\{name}", "{root}/{genre}/{name}", "audio/{genre}/{name}"])
def test_a_whole_table_of_other_paths_labels_all(cell: str, gtzan: Path) -> None:
    rows = gtzan_rows(gtzan, cell)
    (gtzan / "tracks.csv").write_text("Filename,Label\n" + "".join(f"{a},{b}\n" for a, b in rows))
    found = FolderConfig(root=str(gtzan), label="label").catalogue()
    assert sorted(t.label for t in found.tracks) == ["blues"] * 12 + ["metal"] * 12
    assert found.label == "Label" and found.rejects == [] and found.notes == ()


def test_nan_is_no_class(gtzan: Path) -> None:
    rows = [(path, label if i % 3 else "nan") for i, (path, label) in enumerate(gtzan_rows(gtzan))]
    (gtzan / "tracks.csv").write_text("path,genre\n" + "".join(f"{a},{b}\n" for a, b in rows))
    found = scan_folder(str(gtzan), "genre")
    assert {t.label for t in found.tracks} == {"blues", "metal"}
    assert [r.reason for r in found.rejects] == ["no_label"] * 8


def test_an_error_says_what_was_seen_of_the_table(gtzan: Path) -> None:
    (gtzan / "tracks.csv").write_text("path,genre\nblues/1.wav,blues\nblues/2.wav,blues\n")
    with pytest.raises(DatasetError) as caught:
        scan_folder(str(gtzan), "genre")
    assert "2 row(s) of tracks.csv name no file that is there, e.g. 'blues/1.wav'" in str(caught.value)
    assert "these are called e.g. 'blues/blues.00000.wav'" in str(caught.value)

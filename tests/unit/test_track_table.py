"""A tracks.csv joins what a person means: paths of all kinds, headers, encodings; and tells what it cannot join."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from tests.builders import encode, tone
from tonearm.core.errors import DatasetError
from tonearm.datasets.file_names import FileNames
from tonearm.datasets.folder import FolderConfig, scan_folder
from tonearm.datasets.track_table import TrackTable, find_track_table, read_track_table

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
        "blues.00000.au", "blues/blues.00000.wav", " blues/blues.00000.mp3 ", "\\\\nas\\music\\blues\\blues.00000.mp3",
        "../Music/blues/blues.00000.mp3", "blues%2Fblues.00000.mp3", "'blues/blues.00000.mp3'", "blues/blues.00000.npy",
        "\u201cblues.00000.mp3\u201d", "~/Music/blues/blues.00000.mp3", "s3://bucket/blues/blues.00000.mp3",
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


@pytest.mark.parametrize(("rows", "joined"), [
    ("01.mp3", 0), ("CD1/01.mp3", 0), ("01", 0), ("/x/{i:05}/CD1/01.mp3", 5000), ("C:\\x\\{i:05}\\CD1\\01.wav", 5000),
    ("/other/{i}/CD1/01.mp3", 0),
])  # fmt: skip
def test_thousands_of_namesakes_are_not_compared_with_each_other(rows: str, joined: int, tmp_path: Path) -> None:
    """It took a minute and grew with the square."""
    files = [f"{i:05}/CD1/01.mp3" for i in range(5000)]
    table = read(tmp_path, "path,mood\n" + "".join(f"{rows.format(i=i)},sad\n" for i in range(5000)), files)
    assert len(table.rows) == joined


def test_few_of_many_namesakes_are_looked_at() -> None:
    names = FileNames([f"{i:05}/01.mp3" for i in range(20_000)])
    for i in range(0, 20_000, 7):
        assert names.find(f"/music/{i:05}/01.mp3") == ([f"{i:05}/01.mp3"], 1)
        assert names.find(f"x{i:05}/01.mp3") == ([], 0)


def test_folders_that_all_rows_have_in_front_do_not_count(tmp_path: Path) -> None:
    rows = "".join(f"music/{i:02}.mp3,sad\n" for i in range(9))
    assert len(read(tmp_path, f"path,mood\n{rows}", [f"{i:02}.mp3" for i in range(6)]).rows) == 6


@pytest.mark.parametrize(
    "header",
    [
        "path, mood ",
        "Path,mood",
        "FILENAME,mood",
        " File ,mood",
        "filepath,mood",
        "\ufefffile name,mood",
        "file_name,mood",
        "File-Path,mood",
        "fname,mood",
        "audio_path,mood",
        "# path,mood",
        "'path',mood",
        "Dateiname,mood",
        "\u201cPath\u201d,mood",
        "Track ID,mood",
        "\n\npath,mood",
    ],
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


ROWS = "path{s}genre\nblues/blues.00000.mp3{s}{a}\nmetal/metal.00000.mp3{s}{b}\n"


@pytest.mark.parametrize(("encoding", "name", "a", "b"), [
    ("utf-16", "", "Forr\xf3", "\u97f3\u697d"),
    ("utf-16-le", "", "Forr\xf3", "\u97f3\u697d"),
    ("utf-16-be", "", "\u97f3", "\u697d"),
    ("utf-32", "", "Forr\xf3", "\u97f3\u697d"),
    ("utf-32-le", "", "a", "b"),
    ("utf-8-sig", "", "Forr\xf3", "\u97f3\u697d"),
    ("cp1252", "Windows-1252", "Forr\xf3", "Fr\xfch \u2013 \u201cx\u201d"),
    ("latin-1", "Windows-1252", "\xc9lectro", "Caf\xe9"),
    ("mac_roman", "Mac Roman", "Forr\xf3 Caf\xe9", "Fr\xfchling"),
    ("cp850", "DOS code page 850", "Frevo Caf\xe9", "Fr\xfch"),
    ("cp1251", "Windows-1251", "\u0420\u043e\u043a", "\u0428\u0430\u043d\u0441\u043e\u043d"),
    ("koi8-r", "KOI8-R", "\u0420\u043e\u043a", "\u0420\u044d\u043f"),
    ("cp1250", "Windows-1250", "\u017d\xe1nr", "\u0161\u0165\u010d"),
    ("cp932", "Shift-JIS", "\u97f3\u697d", "\u30ed\u30c3\u30af"),
    ("gb18030", "GB 18030", "\u6447\u6eda", "\u6d41\u884c\u97f3\u4e50"),
    ("euc_kr", "EUC-KR", "\uac00\uc694", "\ubc1c\ub77c\ub4dc"),
])  # fmt: skip
def test_encodings_are_found_and_guesses_told(encoding: str, name: str, a: str, b: str, tmp_path: Path) -> None:
    for separator in ",;\t|":
        table = read(tmp_path, ROWS.format(s=separator, a=a, b=b).encode(encoding))
        assert [row["genre"] for row in table.rows.values()] == [a, b]
        assert [f"read as {name}, e.g. " in note for note in table.notes] == ([True] if name else [])


@pytest.mark.parametrize("first", ["sep = ;\r\n", "sep=; \n", "sep=;\r", '"sep=;"\n', "SEP=;\r\n", ""])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_as_spreadsheets_end_them(first: str, end: str, tmp_path: Path) -> None:
    text = ROWS.format(s=";", a="a, b, c", b="b").replace("\n", end)
    assert read(tmp_path, first + text).rows[FILES[0]]["genre"] == "a, b, c"


def test_surplus_separators_and_empty_rows_are_nothing(tmp_path: Path) -> None:
    text = "path;genre\nblues.00000;a;;;;\n;;;;;\nmetal.00000;b\n" + ";\n" * 5000 + "\x1a"
    table = read(tmp_path, text)
    assert [row["genre"] for row in table.rows.values()] == ["a", "b"] and table.notes == ()
    with pytest.raises(
        DatasetError, match=r"line 3 has more fields than its header names, 3 instead of 2: 'metal.00000,H, M'"
    ):
        read(tmp_path, "path,genre\nblues.00000,a\nmetal.00000,H, M\n")


def test_odd_bytes_and_lines_that_are_quoted_as_a_whole(tmp_path: Path) -> None:
    table = read(tmp_path, b"path,genre\nblues.00000,Bl\0ues\nmetal.00000,Metal\n")
    assert table.rows[FILES[0]]["genre"] == "Blues" and table.notes == ("1 zero byte(s) in tracks.csv are left out",)
    whole = '"path,genre"\r\n"blues.00000,A"\r\n"metal.00000,b"\r\n'
    assert read(tmp_path, whole).rows[FILES[2]]["genre"] == "b"
    assert read(tmp_path, "path,genre\n").notes == ("tracks.csv has no rows",)
    for data in (b"PK\x03\x04" + bytes(range(256)), bytes(range(256)) * 9, b"\0" * 99):
        with pytest.raises(DatasetError, match="is no text"):
            read(tmp_path, data)


def test_columns_of_one_name_are_refused_where_they_differ(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="two columns 'genre'"):
        read(tmp_path, "path,genre,genre\nblues.00000,a,b\n")
    assert read(tmp_path, "path,genre,genre\nblues.00000,a,a\n").rows[FILES[0]]["genre"] == "a"
    both = read(tmp_path, "location,path,genre\nBerlin,blues.00000,a\n")
    assert both.columns == ["location", "path", "genre"] and both.key == "path"


def test_a_column_whose_values_name_files_is_found_and_told(tmp_path: Path) -> None:
    table = read(tmp_path, "n,Aufnahme,genre\n1,blues.00000.mp3,a\n2,metal.00000.mp3,b\n3,no.mp3,b\n")
    assert table.key == "Aufnahme" and len(table.rows) == 2
    assert table.notes[0] == "column 'Aufnahme' of tracks.csv names the files"
    with pytest.raises(DatasetError, match=r"has \['n', 'mood'\]; files are called e.g. 'blues/blues.00000.mp3'"):
        read(tmp_path, "n,mood\n1,blues\n")


def test_rows_that_write_one_path_in_two_ways_may_contradict(tmp_path: Path) -> None:
    table = read(tmp_path, f"path,mood\n{FILES[0]},sad\nblues\\blues.00000.mp3,glad\n")
    assert table.contradictions == {FILES[0]: {"mood": ("sad", "glad")}}


def test_tables_of_other_names_and_places_are_told(tmp_path: Path) -> None:
    for name in ("Tracks.CSV", "rock/tracks.csv", "notes.xlsx"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("path,mood\n")
    tables = ["Tracks.CSV", "notes.xlsx", "rock/tracks.csv"]
    assert find_track_table(tmp_path, tables) == (tmp_path / "Tracks.CSV", [
        "rock/tracks.csv in folders below: not read, only the tracks.csv of the folder itself is"
    ])  # fmt: skip
    assert find_track_table(tmp_path, tables[1:2])[1] == [
        "no tracks.csv, but notes.xlsx: what is to be read must be a CSV called tracks.csv"
    ]
    assert find_track_table(tmp_path, ["tracks.csv", "tracks.tsv", "z.csv"]) == (tmp_path / "tracks.csv", [
        "tracks.csv, tracks.tsv in one folder: tracks.csv is read"
    ])  # fmt: skip
    assert find_track_table(tmp_path, []) == (tmp_path / "tracks.csv", [])


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

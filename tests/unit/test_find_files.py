"""What of a folder is looked at: links, loops, trash, other kinds, folders that cannot be read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tonearm.core.errors import DatasetError
from tonearm.datasets.find_files import _without_doubles, find_recordings


def write(path: Path, data: bytes = b"x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / "music" / "Rock" / "a.mp3")
    return tmp_path / "music"


def test_linked_folders_are_entered_and_loops_end(root: Path) -> None:
    write(root.parent / "nas" / "Jazz" / "deep" / "b.mp3")
    (root / "Jazz").symlink_to(root.parent / "nas" / "Jazz")
    (root / "Rock" / "loop").symlink_to(root)
    (root / "Rock" / "up").symlink_to(root.parent)
    (root.parent / "nas" / "Jazz" / "back").symlink_to(root.parent / "nas" / "Jazz")
    (root / "self").symlink_to(root / "self")
    found = find_recordings(str(root))
    assert list(found.files) == ["Jazz/deep/b.mp3", "Rock/a.mp3"] and found.notes == ()


def test_a_library_of_links_alone(tmp_path: Path) -> None:
    write(tmp_path / "nas" / "Rock" / "a.mp3")
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "Rock").symlink_to("../nas/Rock")
    assert list(find_recordings(str(tmp_path / "music")).files) == ["Rock/a.mp3"]
    (tmp_path / "again").symlink_to(tmp_path / "music")
    assert list(find_recordings(str(tmp_path / "again")).files) == ["Rock/a.mp3"]


def test_a_folder_and_a_file_are_found_once_and_where_they_are(root: Path) -> None:
    (root / "A").symlink_to(root / "Rock")  # before the real one by the alphabet
    (root / "Favourites").mkdir()
    (root / "Favourites" / "a.mp3").symlink_to(root / "Rock" / "a.mp3")
    write(root.parent / "elsewhere.mp3")
    for name in ("one.mp3", "two.mp3"):
        (root / "Favourites" / name).symlink_to(root.parent / "elsewhere.mp3")
    found = find_recordings(str(root))
    assert list(found.files) == ["Favourites/one.mp3", "Rock/a.mp3"]
    assert found.notes == ("2 link(s) to files that are found anyway, e.g. 'a.mp3': left out",)


LEFT_OUT = [".Trash-1000/files", ".hidden", "#recycle", "$RECYCLE.BIN/S-1-5", "@eaDir", "Rock/@eaDir", "__MACOSX/Rock",
            ".tonearm/data/scores/audio", "System Volume Information", "@Recycle"]  # fmt: skip


@pytest.mark.parametrize("folder", LEFT_OUT)
def test_hidden_folders_and_trash_are_not_looked_at(folder: str, root: Path) -> None:
    write(root / folder / "old.mp3")
    found = find_recordings(str(root))
    assert list(found.files) == ["Rock/a.mp3"]
    top = next(f"{'Rock/' * folder.startswith('Rock')}{p}" for p in folder.split("/") if p != "Rock")
    assert found.notes == (f"1 hidden or system folder(s) not looked at, e.g. {top!r}",)


def test_the_own_home_is_not_looked_at_and_a_hidden_root_is(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(root / "tonearm home" / "data" / "b.mp3")
    monkeypatch.setenv("TONEARM_HOME", str(root / "tonearm home"))
    assert list(find_recordings(str(root)).files) == ["Rock/a.mp3"]
    hidden = root.rename(root.parent / ".music")
    assert "Rock/a.mp3" in find_recordings(str(hidden)).files


def test_other_kinds_are_counted_and_what_is_no_music_is_not(root: Path) -> None:
    for name in ("s.wma", "t.WMA", "u.mid", "cover.jpg", "notes.txt", "._v.wma", ".DS_Store"):
        write(root / "Soul" / name)
    assert find_recordings(str(root)).notes == ("3 file(s) of kinds that are not read: .wma 2, .mid 1",)


def test_where_there_is_nothing_to_read_the_error_says_what_there_is(tmp_path: Path) -> None:
    for place in ("Soul/s.wma", ".Trash/x.mp3"):
        write(tmp_path / place)
    with pytest.raises(DatasetError, match=r"looked for \.mp3.*1 file\(s\) of kinds.*\.wma 1; 1 hidden .* '\.Trash'"):
        find_recordings(str(tmp_path))


def test_folders_that_cannot_be_read_are_told(root: Path) -> None:
    write(root / "Locked" / "b.mp3")
    (root / "Locked").chmod(0)
    for folder in (root, *(p for p in root.parents if "pytest-of-" in str(p))):  # pytest's own are closed to others
        folder.chmod(0o755)
    was = os.geteuid()
    try:
        if was == 0:
            os.seteuid(65534)  # permissions do not bind root
        found = find_recordings(str(root))
    finally:
        os.seteuid(was)
        (root / "Locked").chmod(0o755)
    assert list(found.files) == ["Rock/a.mp3"]
    assert found.notes == ("1 folder(s) cannot be read, e.g. 'Locked': Permission denied",)


def test_a_file_that_goes_meanwhile_ends_nothing(root: Path) -> None:
    (root / "Rock" / "link.mp3").symlink_to(root / "Rock" / "a.mp3")
    kept, doubles = _without_doubles([root / "Rock" / "gone.mp3"], [root / "Rock" / "link.mp3"])
    assert [p.name for p in kept] == ["link.mp3"] and not doubles

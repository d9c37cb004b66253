"""Tags with several values, and the album artist."""

from __future__ import annotations

from pathlib import Path

from tests.unit.test_tags import write_tagged
from tonearm.audio.tags import read_tag_values, read_tags


def test_a_tag_may_have_several_values_and_there_is_an_album_artist(tmp_path: Path) -> None:
    import mutagen

    path = tmp_path / "a.mp3"
    write_tagged(path, {})
    file = mutagen.File(path, easy=True)
    file["genre"], file["albumartist"] = ["Rock", "Pop"], ["Clara"]
    file.save()
    assert read_tag_values(path) == {"genre": ("Rock", "Pop"), "albumartist": ("Clara",)}
    assert read_tags(path) == {"genre": "Rock", "albumartist": "Clara"}

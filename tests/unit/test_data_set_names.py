"""Names of data sets: each is one of a folder, of a registered model and of a URI; look-alikes are no second one."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from tests.builders import encode, tone, track
from tonearm.core import home, storage
from tonearm.core.errors import ConfigError
from tonearm.core.text import slug
from tonearm.datasets.base import Catalogue
from tonearm.datasets.folder import FolderConfig
from tonearm.datasets.manifest import Manifest, save_manifest
from tonearm.datasets.recordings import dataset_name
from tonearm.tracking.names import model_name
from tonearm.workflows.dataset_identity import identity_root, require_own_name
from tonearm.workflows.prepare import make_catalogue, require_dataset_name
from tonearm.workflows.prepared_names import manifest_uri, unfinished_uri

REFUSED = ["a:b", "a@champion", "~", "-x", "--", ".hidden", "a.", " a", "a ", "a'b", 'a"b', "a%20b", "a?b", "a#b",
           "a*b", "<script>", "$x", "`x`", "a|b", "a;b", "{x}", "x" * 300,
           "\u97f3" * 90, "\U0001f3b5", "a\u200b"]  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_name_everywhere_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^the name .*: give "):
        require_dataset_name(name)


@pytest.mark.parametrize(
    "name", ["", "a b", "A", "\u97f3\u697d", "caf\xe9", "\u0939\u093f\u0928\u094d\u0926\u0940", "r&b", "a+b", "x" * 200]
)
def test_names_of_any_script_are_taken(name: str) -> None:
    from mlflow.utils.validation import _validate_model_name

    require_dataset_name(name)
    _validate_model_name(model_name(name))


@pytest.mark.parametrize("folder", ["a" * 250, "\u97f3" * 80, "Music (2)", "..x..", "\U0001f3b5"])
def test_a_folders_name_makes_one(folder: str, tmp_path: Path) -> None:
    require_dataset_name(dataset_name(str(tmp_path / folder)))


@pytest.mark.parametrize(("there", "name"), [
    ("music", "Music"), ("caf\xe9", "cafe\u0301"), ("stra\xdfe", "STRASSE"),
])  # fmt: skip
def test_a_name_in_other_letters_is_no_second_one(
    there: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(home.HOME, str(tmp_path))
    save_manifest(manifest_uri(there), Manifest(there, "genre", [track("a")]))
    with pytest.raises(ConfigError, match=f"differs in the case or form of letters alone from the data set '{there}'"):
        require_own_name(Catalogue(name, "genre", [track("a")]))
    require_own_name(Catalogue("cafe" if there == "caf\xe9" else "other", "genre", [track("a")]))
    assert slug(unicodedata.normalize("NFD", there)) == there


def test_names_that_were_prepared_side_by_side_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both were prepared before names were compared so: neither may lock out the other."""
    monkeypatch.setenv(home.HOME, str(tmp_path))
    for name in ("music", "Music"):
        save_manifest(manifest_uri(name), Manifest(name, "genre", [track("a")]))
    for name in ("music", "Music"):
        require_own_name(Catalogue(name, "genre", [track("a")]))
    with pytest.raises(ConfigError, match="differs in the case"):
        require_own_name(Catalogue("MUSIC", "genre", [track("a")]))


def test_what_was_never_prepared_locks_out_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(home.HOME, str(tmp_path))
    for name in ("music", "Music"):
        storage.write_json(unfinished_uri(name), {})
    require_own_name(Catalogue("music", "genre", [track("a")]))


@pytest.mark.parametrize("letters", [61, 150, 255])
def test_a_data_set_that_was_prepared_under_a_long_name_keeps_it(
    letters: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(home.HOME, str(tmp_path / "home"))
    whole = "m" * letters
    root = tmp_path / whole
    root.mkdir()
    (root / "a.wav").write_bytes(encode(tone(440, 0.05)))
    data = FolderConfig(root=str(root), label="")
    assert make_catalogue(data).name == "m" * 60
    save_manifest(manifest_uri(whole), Manifest(whole, "", [track("a")]))
    assert make_catalogue(data).name == whole and make_catalogue(data, "own").name == "own"


def test_ways_to_one_folder_are_one_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    music = tmp_path / "Music"
    music.mkdir()
    (tmp_path / "link").symlink_to(music)
    monkeypatch.chdir(tmp_path)
    ways = [
        str(music),
        f"{music}/",
        "Music",
        "./Music/",
        "link",
        f"{tmp_path}/x/../Music",
        f"file://{music}",
        f"{music}/.",
    ]
    assert {identity_root(FolderConfig(root=way)) for way in ways} == {os.path.realpath(music)}
    assert {dataset_name(way) for way in ways if "://" not in way} == {"music"}

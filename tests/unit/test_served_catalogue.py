"""A library that grows while its champion stays: what was added is recommended and served without a promotion."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

from tests.killing import killed_after
from tests.serve.in_process import serve_in_process
from tests.unit.selecting import make_manifest, train_sweep
from tonearm.core import home, storage
from tonearm.core.errors import BundleError
from tonearm.core.seeding import digest
from tonearm.datasets.manifest import Manifest, Track, save_manifest
from tonearm.inference import load
from tonearm.inference.catalogues import add_to_folder, newest_catalogue, save_to_register
from tonearm.recommend import CatalogueIndex
from tonearm.tracking import names
from tonearm.tracking.log import RunWriter, client
from tonearm.tracking.query import champion_uri, registered
from tonearm.workflows import recommend as recommending
from tonearm.workflows.demo_summary import Served, find_served, summary
from tonearm.workflows.prepared_names import manifest_uri
from tonearm.workflows.promotion import undo_promotion
from tonearm.workflows.recommend import compare_recommenders, evaluate_recommender, refresh_champion
from tonearm.workflows.select import select
from tonearm.workflows.sweep_result import Sweep

NAME = "growing"

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(autouse=True)
def threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "set_num_threads", lambda n: None)  # what a replica sets would stay for other tests


@pytest.fixture(scope="module")
def trained(one_home: Path) -> Sweep:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TONEARM_HOME", str(one_home))
        return train_sweep(make_manifest(one_home / "growing", "growing"), ({"optim.epochs": 2}, {"seed": 1}))


@pytest.fixture
def swept(trained: Sweep) -> Sweep:
    """A sweep; its data set is as it was when it was trained, has a champion, and that a catalogue of it."""
    save_manifest(manifest_uri(NAME), trained.manifest)
    if registered(NAME, names.CHAMPION) is None:
        select(trained)
    refresh_champion(NAME)
    return trained


def grown(manifest: Manifest, folder: Path, seconds: float = 0.0) -> Manifest:
    """The same with one more test track, prepared; of so many seconds, or of as many as the first."""
    samples, rate = soundfile.read(manifest.tracks[0].source)
    file = folder / f"new{len(manifest.tracks)}.wav"
    soundfile.write(file, 0.5 * samples[: round(seconds * rate) or len(samples)], rate)
    new = Track(track_id=f"new/{file.stem}", source=str(file), content=digest(file.read_bytes(), size=16),
                label=manifest.tracks[0].label, group=f"artist:{file.stem}", split="test")  # fmt: skip
    today = dataclasses.replace(manifest, tracks=(*manifest.tracks, new))
    save_manifest(manifest_uri(today.name), today)
    return today


def served(track: Track, k: int = 3) -> tuple[int, list[str]]:
    """How many tracks a server of the champion has, and the neighbours that it finds of one whose bytes it does not
    know."""
    with pytest.MonkeyPatch.context() as patch:
        asked = serve_in_process(champion_uri(NAME), patch)
        answer = asked("POST", f"/v1/recommend?k={k}", content=Path(track.source).read_bytes() + bytes(2))
        return asked("GET", "/healthz")["tracks"], [n["track_id"] for n in answer["neighbours"]]


def version() -> str:
    found = registered(NAME, names.CHAMPION)
    assert found is not None
    return found.version


def test_what_was_added_is_recommended_and_served_when_the_champion_stays(
    swept: Sweep, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    count = len(swept.manifest.tracks)
    champion, today = version(), grown(swept.manifest, tmp_path)
    assert served(today.tracks[-1])[0] == count
    with caplog.at_level("INFO"):
        assert evaluate_recommender(today).tracks == count + 1
    contest = compare_recommenders(swept.manifest)
    champion_run = registered(NAME, names.CHAMPION)
    assert (
        champion_run is not None
        and contest is not None
        and contest.metrics().items() <= RunWriter(champion_run.run_id).values().items()
    )
    assert [f.path for f in client().list_artifacts(champion_run.run_id, "recommend")] == ["recommend/recommend.html"]
    page = Path(home.reports_home(NAME), "recommend.html").read_text()
    assert "never shown" in page and "data:image/png" in page and "random" in page
    assert (
        f"of {count + 1} tracks now 1 are new, and 0 are gone; until it gets one of these (tonearm recommend"
        in caplog.text
    )
    assert served(today.tracks[-1])[0] == count, "who only measures changes nothing"
    newer = select(dataclasses.replace(swept, manifest=today), promotion=False, most_members=1)
    assert not newer.promoted and version() == champion
    tracks, neighbours = served(today.tracks[-1])
    assert tracks == count + 1 and today.tracks[-1].track_id in neighbours
    caplog.clear()
    with caplog.at_level("INFO"):
        quality = evaluate_recommender(today)
        assert quality.tracks == count + 1 and "earlier data" not in caplog.text
    served_now = find_served(newer)
    head, _, kept = summary(today, newer, served_now, quality, {}, 0.0).partition("\nserved: ")
    assert f"chosen now, and not served: version {newer.version}; " in head and "majority class" in head
    assert kept.startswith(f"the champion, version {champion}; its catalogue is of the {count + 1} tracks\n")
    assert "neighbours of own" not in head and "neighbours of own" in kept and "majority class" not in kept
    assert f"tonearm select {newer.sweep} --promote" in kept
    other = dataclasses.replace(served_now, classes=("bass", "drum"))
    assert f"{champion}, which knows 2 classes (bass, drum);" in summary(today, newer, other, quality, {}, 0.0)
    same = summary(today, newer, Served("1", "1"), quality, {}, 0.0)
    assert "served" not in same and "--promote" not in same and "neighbours of own" in same


def test_recommend_keeps_a_catalogue_of_today_with_the_registered_version(swept: Sweep, tmp_path: Path) -> None:
    today = grown(grown(swept.manifest, tmp_path), tmp_path, seconds=0.3)
    measured = evaluate_recommender(today)
    assert measured.tracks == len(today.tracks) - 1, "one cannot be heard"
    assert evaluate_recommender(today, save=True) == measured
    model = load(champion_uri(NAME))
    place = newest_catalogue(model.folder)
    assert measured.tracks == len(model.recommender.index.tracks)
    assert evaluate_recommender(today, save=True) == measured
    assert newest_catalogue(model.folder) == place, "none is written where nothing changed"
    assert evaluate_recommender(swept.manifest, save=True).tracks == len(swept.manifest.tracks)
    assert served(swept.manifest.tracks[0])[0] == len(swept.manifest.tracks), "it may shrink, too"


@pytest.mark.parametrize("change", ["title", "content"])
def test_what_changed_of_the_same_tracks_is_served(swept: Sweep, change: str) -> None:
    first, second, *rest = swept.manifest.tracks
    if change == "title":
        first = dataclasses.replace(first, title="renamed")
    else:
        first = dataclasses.replace(first, content=second.content, source=second.source)
    today = dataclasses.replace(swept.manifest, tracks=(first, second, *rest))
    save_manifest(manifest_uri(today.name), today)
    refresh_champion(NAME)
    index = load(champion_uri(NAME)).recommender.index
    assert index.tracks[0].get("title") == first.title
    assert np.allclose(index.vectors[0], index.vectors[1], atol=1e-6) == (change == "content")


def test_a_rollback_serves_the_catalogue_of_the_version_that_it_comes_to(swept: Sweep, tmp_path: Path) -> None:
    count, first = len(swept.manifest.tracks), version()
    today = grown(swept.manifest, tmp_path)
    later = select(swept, promotion=True, most_members=2)  # what is promoted of old trials has the tracks of today, too
    assert served(today.tracks[-1])[0] == count + 1 and version() == later.version
    undo_promotion(NAME)
    assert version() == first and served(today.tracks[-1])[0] == count
    refresh_champion(NAME)
    assert served(today.tracks[-1])[0] == count + 1
    assert load(f"models:/{names.model_name(NAME)}/{later.version}").recommender.index.is_of(today.tracks)


def test_refreshing_that_is_killed_leaves_the_old_catalogue_or_the_new_one(swept: Sweep, tmp_path: Path) -> None:
    today = grown(swept.manifest, tmp_path)
    for steps in range(3):
        save_manifest(manifest_uri(NAME), today)
        with killed_after(steps, LocalArtifactRepository, ["log_artifact"]):
            refresh_champion(NAME)
        assert load(champion_uri(NAME)).recommender.index.is_of(swept.manifest.tracks)
        refresh_champion(NAME)
        assert load(champion_uri(NAME)).recommender.index.is_of(today.tracks)
        save_manifest(manifest_uri(NAME), swept.manifest)
        refresh_champion(NAME)


def test_few_of_the_later_catalogues_are_kept(swept: Sweep, tmp_path: Path) -> None:
    today = swept.manifest
    for _ in range(4):
        today = grown(today, tmp_path)
        refresh_champion(NAME)
    later = Path(newest_catalogue(load(champion_uri(NAME)).folder)).parent
    assert len([f for f in later.iterdir() if (f / "catalogue.json").exists()]) == 2
    assert served(today.tracks[-1])[0] == len(today.tracks)


def catalogue(count: int) -> CatalogueIndex:
    tracks = [Track(track_id=str(i), source="", content=str(i), label="a", group=str(i)) for i in range(count)]
    return CatalogueIndex.build(np.eye(count, 8, dtype=np.float32), tracks)


@pytest.mark.parametrize("steps", range(12))
def test_a_folders_catalogue_is_the_old_one_or_the_new_one(tmp_path: Path, steps: int) -> None:
    for count in (3, 4):
        add_to_folder(str(tmp_path), catalogue(count))
    with killed_after(steps, storage, ["write_bytes", "write_json", "remove"]):
        add_to_folder(str(tmp_path), catalogue(5))
    assert len(CatalogueIndex.load(newest_catalogue(str(tmp_path))).tracks) == (5 if steps >= 5 else 4)
    add_to_folder(str(tmp_path), catalogue(6))
    assert len(CatalogueIndex.load(newest_catalogue(str(tmp_path))).tracks) == 6


def test_a_description_that_is_cut_off_is_no_catalogue(tmp_path: Path) -> None:
    folder = str(tmp_path)
    add_to_folder(folder, catalogue(3))
    old = newest_catalogue(folder)
    for cut in ("", '{"format": ', json.dumps({"format": 99})):
        add_to_folder(folder, catalogue(4))
        Path(newest_catalogue(folder), "catalogue.json").write_text(cut)
        assert newest_catalogue(folder) == old


def test_a_catalogue_hangs_on_no_split(tmp_path: Path) -> None:
    tracks = [Track(track_id=i, source="", content=i, label="a", group=i, split="train") for i in "abc"]
    CatalogueIndex.build(np.eye(3, dtype=np.float32), tracks).save(str(tmp_path))
    file = tmp_path / "catalogue.json"
    for described in (json.loads(file.read_text()), {"format": 1, "tracks": 3}):  # of now; of an earlier version
        file.write_text(json.dumps(described))
        index = CatalogueIndex.load(str(tmp_path))
        assert index.is_of([dataclasses.replace(t, split="test", group="one") for t in tracks])
        assert not index.is_of([dataclasses.replace(t, label="b") for t in tracks]) and not index.is_of(tracks[:2])
        assert index.is_of([dataclasses.replace(t, content="d") for t in tracks]) == ("data" not in described)
        assert index.is_of([dataclasses.replace(t, source="moved") for t in tracks])


def test_a_catalogue_says_where_its_tracks_can_be_heard(tmp_path: Path) -> None:
    tracks = [Track(track_id=i, source=f"/music/{i}.flac", content=i, label="a", group=i) for i in "abc"]
    CatalogueIndex.build(np.eye(3, dtype=np.float32), tracks).save(str(tmp_path))
    library = CatalogueIndex.load(str(tmp_path)).library
    assert [library.row(i)["source"] for i in range(3)] == ["/music/a.flac", "/music/b.flac", "/music/c.flac"]


def test_what_is_registered_anew_has_its_own_catalogue_alone(tmp_path: Path) -> None:
    folder = str(tmp_path)
    for count in (3, 4):
        add_to_folder(folder, catalogue(count))
    save_to_register(folder, catalogue(5))
    assert newest_catalogue(folder) == f"{folder}/catalogue"
    assert len(CatalogueIndex.load(newest_catalogue(folder)).tracks) == 5


def test_an_alias_that_may_move_gets_no_catalogue(swept: Sweep) -> None:
    with pytest.raises(BundleError, match=r"may be another version by now: load models:/NAME/VERSION"):
        load(champion_uri(NAME)).save_catalogue(catalogue(3))


def test_a_champion_gets_no_catalogue_of_another_label(
    swept: Sweep, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = served(swept.manifest.tracks[0])[0]
    save_manifest(manifest_uri(NAME), dataclasses.replace(grown(swept.manifest, tmp_path), label="artist"))
    with caplog.at_level("INFO"):
        refresh_champion(NAME)
    assert "stays as it was: the champion knows 'sound', and growing was prepared last by 'artist'" in caplog.text
    assert served(swept.manifest.tracks[0])[0] == before


def test_an_interrupted_refresh_says_that_the_catalogue_stays(
    swept: Sweep, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    grown(swept.manifest, tmp_path)
    monkeypatch.setattr(recommending, "predict_usable", interrupted)
    with caplog.at_level("INFO"), pytest.raises(KeyboardInterrupt):
        refresh_champion(NAME)
    assert "predicting" in caplog.text and "the champion's catalogue stays as it was" in caplog.text

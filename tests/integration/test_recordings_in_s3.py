"""Recordings in a real S3: they are extracted as they are from a folder, and a second time only what is new."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from tests.builders import encode, sounds_like
from tests.integration.conftest import Workplace, workplace
from tests.object_store import BUCKET, ObjectStore, running_object_store
from tonearm.core import home
from tonearm.datasets.manifest import load_manifest, load_rejects
from tonearm.features.store import FeatureStore

pytestmark = pytest.mark.integration

MUSIC = f"s3://{BUCKET}/My Music"
OPTIONS = ("--dataset", "folder", "--features", "mel(n_mels=32,n_fft=1024,hop=512,frames=None)", "--seconds", "10",
           "--min-seconds", "3", "--max-rejected", "0.2", "--name", "music")  # fmt: skip
TRACKS = 30
ODD = "flute/Kino :: Noch #1? 50%.ogg"


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    with tempfile.TemporaryDirectory(prefix="tn", dir="/tmp") as folder, running_object_store(Path(folder)) as running:
        yield running


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory, shared_ray: str, store: ObjectStore) -> Iterator[Workplace]:
    """A workplace of whose recordings those in the store are used."""
    for place in workplace(tmp_path_factory.mktemp("far"), shared_ray):
        temporary = place.home.parent / "temporary"
        temporary.mkdir()
        workers = {**store.variables, home.HOME: str(place.home), home.CACHE: str(place.home.parent / "cache"),
                   "TMPDIR": str(temporary)}  # fmt: skip
        for path in place.music.rglob("*"):
            if path.is_file():
                put(store, path.relative_to(place.music).as_posix(), path.read_bytes())
        put(store, ODD, encode(sounds_like("flute", 900, 12.0), container="OGG"))
        (place.music / ODD).write_bytes(get(store, ODD))
        joined = json.dumps({"runtime_env": {"env_vars": workers}})
        yield dataclasses.replace(place, shared={**place.shared, **workers, "RAY_JOB_CONFIG_JSON_ENV_VAR": joined})


@pytest.fixture(scope="module")
def extracted(far: Workplace) -> str:
    """What the first extraction says; it leaves nothing among the temporary files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", None)  # that of the workplace
        output = far.call("jobs.extract", *OPTIONS, "--audio", MUSIC)
    assert not list(Path(far.shared["TMPDIR"]).rglob("*.tmp"))
    return output


def put(store: ObjectStore, name: str, data: bytes) -> None:
    store.client.put_object(Bucket=BUCKET, Key=f"My Music/{name}", Body=data)


def get(store: ObjectStore, name: str) -> bytes:
    return bytes(store.client.get_object(Bucket=BUCKET, Key=f"My Music/{name}")["Body"].read())


def values(place: Path) -> dict[str, bytes]:
    (folder,) = (place / "features").glob("mel-*")
    found = FeatureStore(str(folder))
    return {key: found.read(key).values.tobytes() for key in found}


def test_a_folder_in_s3_is_the_data_set_that_it_is_here(
    far: Workplace, extracted: str, tmp_path: Path, store: ObjectStore
) -> None:
    assert f"{TRACKS + 1} tracks extracted now" in extracted and store.secret not in extracted
    far.call("jobs.extract", *OPTIONS, "--audio", str(far.music), "--out", str(tmp_path))
    there = load_manifest(str(far.home / "data" / "music" / "manifest.parquet"))
    here = load_manifest(str(tmp_path / "data" / "music" / "manifest.parquet"))
    assert there.root == MUSIC and {t.track_id: t.source for t in there.tracks}[ODD] == f"{MUSIC}/{ODD}"
    assert [dataclasses.replace(t, source="") for t in there.tracks] == [
        dataclasses.replace(t, source="") for t in here.tracks
    ]
    aside = [load_rejects(str(at / "data" / "music" / "rejects.parquet")) for at in (far.home, tmp_path)]
    assert [(r.track_id, r.reason, r.bytes) for r in aside[0]] == [(r.track_id, r.reason, r.bytes) for r in aside[1]]
    assert values(far.home) == values(tmp_path) and len(there.tracks) == TRACKS + 1


@pytest.mark.usefixtures("extracted")
def test_only_what_is_new_is_fetched(far: Workplace, store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store, "bass/new.ogg", encode(sounds_like("bass", 901, 12.0), container="OGG"))
    put(store, "bass/0.ogg", encode(sounds_like("bass", 902, 12.0), container="OGG"))
    store.client.delete_object(Bucket=BUCKET, Key="My Music/bass/1.ogg")
    fetched: list[str] = []
    driver = fsspec.get_filesystem_class("s3")
    call = driver._call_s3

    async def watched(self: object, method: str, *more: object, **named: object) -> object:
        fetched.append(f"{method} {named.get('Key', '')}")
        return await call(self, method, *more, **named)

    monkeypatch.setattr(driver, "_call_s3", watched)
    output = far.call("jobs.extract", *OPTIONS, "--audio", MUSIC)
    assert "2 tracks extracted now" in output
    new = [f"{how}_object My Music/bass/{name}.ogg" for how in ("get", "head") for name in ("0", "new")]
    assert sorted(fetched) == [*new, "list_objects_v2 "], "each is looked at and fetched, what is known is neither"
    ids = {t.track_id for t in load_manifest(str(far.home / "data" / "music" / "manifest.parquet")).tracks}
    assert "bass/new.ogg" in ids and "bass/1.ogg" not in ids and len(ids) == TRACKS + 1


@pytest.mark.parametrize(
    ("audio", "variables", "said"),
    [
        (f"s3://{BUCKET}/nothing", {}, "nothing' holds no files: give the URI of the folder that holds"),
        ("s3://another-bucket/music", {}, "music' cannot be listed, there is no such bucket"),
        (MUSIC, {"AWS_SECRET_ACCESS_KEY": "a-wrong-key"}, "credentials (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
    ],
)  # fmt: skip
def test_what_cannot_be_listed_is_told_in_one_sentence(
    far: Workplace, audio: str, variables: dict[str, str], said: str
) -> None:
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    place = dataclasses.replace(far, shared={**far.shared, **variables})
    output = place.call("jobs.extract", *OPTIONS, "--audio", audio, check=False)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    assert output.startswith("\nerror: AUDIO 's3://") and output.count("\n") == 2 and said in output
    assert "wrong" not in output and far.shared["AWS_SECRET_ACCESS_KEY"] not in output

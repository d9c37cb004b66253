"""A champion while its library grows, and going back to the one before, without Ray."""

from __future__ import annotations

import dataclasses
import re
from functools import partial
from pathlib import Path

import pytest
import soundfile

from tests.builders import encode, sounds_like
from tests.unit.selecting import make_manifest, train_sweep
from tonearm.core.errors import AudioError, TrackingError
from tonearm.core.seeding import digest
from tonearm.datasets.manifest import Manifest, Track
from tonearm.tracking import names
from tonearm.tracking.query import RegisteredVersion, registered
from tonearm.workflows import promotion
from tonearm.workflows import select as selecting
from tonearm.workflows.champion import predict_as_champion
from tonearm.workflows.predict_blocks import predict_blocks
from tonearm.workflows.promotion import Promotion, undo_promotion
from tonearm.workflows.select import select
from tonearm.workflows.sweep_result import Sweep

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(scope="module")
def swept(one_home: Path) -> Sweep:
    """Three trials, of two representations and of clips of two lengths."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TONEARM_HOME", str(one_home))
        return train_sweep(make_manifest(one_home / "music", "different"))


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is now, no Ray is started."""
    monkeypatch.setattr(selecting, "predict_blocks", partial(predict_blocks, seconds_for_ray=float("inf")))


def champion_of(swept: Sweep) -> RegisteredVersion:
    """That of the sweep's data; one is made if no test before did."""
    if registered(swept.manifest.name, names.CHAMPION) is None:
        select(swept, promotion=True)
    found = registered(swept.manifest.name, names.CHAMPION)
    assert found is not None
    return found


def test_a_champion_is_scored_on_todays_tracks_that_it_did_not_learn_from(swept: Sweep, tmp_path: Path) -> None:
    """A recording was added to each split, and one that it was trained on is a test track now."""
    champion = champion_of(swept)
    old = list(swept.manifest.tracks)
    learned = next(i for i, t in enumerate(old) if t.split == "train")
    old[learned] = dataclasses.replace(old[learned], split="test")
    added = []
    for split in ("train", "validation", "test"):
        path = tmp_path / f"{split}.wav"
        path.write_bytes(encode(sounds_like("flute", 999 + len(split))))
        added.append(Track(track_id=f"new/{split}", source=str(path), content=digest(path.read_bytes(), size=16),
                           label="flute", group=f"artist:{split}", split=split))  # type: ignore[arg-type]  # fmt: skip
    today = Manifest(swept.manifest.name, "sound", (*old, *added))
    tracks = [*today.of("validation"), *today.of("test")]
    task = swept.results[0].config.task
    found = predict_as_champion(champion, today, tracks, task, swept.results[0].folder.validation().classes)
    left_out = {old[learned].track_id, "new/validation"}  # epochs were chosen on the latter, and not the champion's
    assert {t.track_id for t in tracks} - {t.track_id for t in found.tracks} == left_out
    assert all(p.shape == (len(found.tracks), 3) for p in found.predictions) and len(found.predictions) >= 1


def test_a_champion_that_cannot_hear_a_track_is_compared_on_the_others(swept: Sweep, tmp_path: Path) -> None:
    champion = champion_of(swept)
    samples, rate = soundfile.read(swept.manifest.tracks[0].source)
    short, gone = tmp_path / "short.wav", tmp_path / "vanished.wav"
    soundfile.write(short, samples[: round(0.3 * rate)], rate)
    soundfile.write(gone, 0.5 * samples, rate)
    added = [Track(track_id=f"new/{path.stem}", source=str(path), content=digest(path.read_bytes(), size=16),
                   label="flute", group=f"artist:{path.stem}", split="test") for path in (short, gone)]  # fmt: skip
    gone.unlink()
    today = Manifest(swept.manifest.name, "sound", (*swept.manifest.tracks, *added))
    tracks = [*today.of("validation"), *today.of("test")]
    task, classes = swept.results[0].config.task, swept.results[0].folder.validation().classes
    for _ in range(2):  # also when it is written down
        found = predict_as_champion(champion, today, tracks, task, classes)
        assert {t.track_id for t in tracks} - {t.track_id for t in found.tracks} == {"new/short", "new/vanished"}
        assert found.unusable.startswith("2 of ") and "e.g. new/short: too_short: 0.30 s of audio" in found.unusable
    soundfile.write(gone, 0.5 * samples, rate)  # it may be back the next time
    found = predict_as_champion(champion, today, tracks, task, classes)
    assert found.unusable.startswith("1 of ") and "new/vanished" in {t.track_id for t in found.tracks}
    with pytest.raises(AudioError, match=r"too_short: .*0\.30 s"):
        predict_blocks([swept.results[0].folder.bundle_uri], added)


def test_rolling_back_goes_back_one_by_one(swept: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, before = swept.manifest.name, champion_of(swept)
    second = select(swept, promotion=True, most_members=1)
    third = select(swept, promotion=True, most_members=2)
    assert second.promoted and third.promoted and third.why.startswith("as was asked for, although ")
    versions = [before.version, second.version, third.version]
    assert len(set(versions)) == 3
    for now, left, named in ((versions[1], versions[2], ""), (versions[0], versions[1], "some-a1")):
        said = undo_promotion(named)
        assert said == f"tonearm-different: version {now} is the champion again, version {left} no longer"
        champion = registered(dataset, names.CHAMPION)
        assert champion is not None and champion.version == now
        assert "was rolled back at" in champion.tags[names.PROMOTION]
    monkeypatch.setattr(promotion, "judge", lambda *_: Promotion(True, "it is better"))
    again = select(swept, most_members=2)
    assert not again.promoted and again.why == "it was rolled back, although it is better"
    for record in Path(again.bundle).parent.glob("selection-*.json"):
        record.unlink()  # so that the same is registered anew
    newer = select(swept, most_members=2)
    assert newer.version != again.version and not newer.promoted
    assert re.fullmatch(r"version \d+, which is the same choice, was rolled back, although it is better", newer.why)
    assert select(swept, most_members=2, promotion=True).promoted and undo_promotion(dataset)
    with pytest.raises(TrackingError, match=f"cannot be rolled back: version {versions[0]} is the first"):
        undo_promotion(dataset)
    with pytest.raises(TrackingError, match="no run whose id or name is or begins with 'absent'"):
        undo_promotion("absent")

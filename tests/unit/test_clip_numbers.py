"""A clip's number is the same time in every layout and every store, and its start is kept."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from tests.builders import RATE, encode, music, tone
from tonearm.audio.windows import ClipConfig, load_clips
from tonearm.core.errors import StoreError
from tonearm.features import Mel
from tonearm.features.computed import ComputedClip
from tonearm.features.shards import ShardWriter
from tonearm.features.store import FeatureStore, prepare_store, store_uri, track_key
from tonearm.pipelines.extractor import Extractor

CLIP = ClipConfig(seconds=2.0, position="all")
MONO = Mel(n_mels=16, n_fft=512, hop=256)
SIDES = Mel(n_mels=16, n_fft=512, hop=256, channels="mid_side")


def phases() -> bytes:
    """2 s in phase, 2 s out of phase (silent as mono), 2 s of silence, 2 s in phase."""
    parts = [tone(440, 2.0), tone(550, 2.0), np.zeros(2 * RATE, np.float32), tone(660, 2.0)]
    left = np.concatenate(parts)
    right = np.concatenate([0.5 * parts[0], -parts[1], parts[2], 0.5 * parts[3]])
    return encode(np.stack([left, right], axis=1), subtype="FLOAT")


def test_numbers_and_starts_count_what_is_left_out() -> None:
    found = list(load_clips(phases(), CLIP, [(RATE, 1), (RATE, "mid_side")]))
    assert [(c.number, c.start, [layout[1] for layout in c.waveforms]) for c in found] == [
        (0, 0.0, [1, "mid_side"]), (1, 2.0, ["mid_side"]), (3, 6.0, [1, "mid_side"]),
    ]  # fmt: skip


def test_a_middle_clip_says_where_it_begins() -> None:
    (clip,) = load_clips(encode(music(10.0)), ClipConfig(seconds=3.0), [(RATE, 1)])
    assert (clip.number, clip.start) == (0, 3.5)


@pytest.mark.parametrize("together", [True, False])
def test_stores_have_the_same_numbers_for_the_same_time(together: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(phases())
    for feature in (MONO, SIDES):
        prepare_store(str(tmp_path), feature)
    for features in [[MONO, SIDES]] if together else [[MONO], [SIDES]]:
        worker = Extractor(features=[f.to_dict() for f in features], clip=CLIP.to_dict(), root=str(tmp_path),
                           min_seconds=1.0, attempts="n")  # fmt: skip
        lacking = " ".join(f.store_name() for f in features)
        assert worker({"source": [str(path)], "key": ["k"], "lacking": [lacking], "stamp": [""]})["reason"] == [""]
    mono, sides = (FeatureStore(store_uri(str(tmp_path), f)) for f in (MONO, SIDES))
    assert (mono.clip_numbers("k"), sides.clip_numbers("k")) == ([0, 3], [0, 1, 3])
    assert [c.start for c in mono.read_clips("k")] == [0.0, 6.0] and mono.read("k", 3).number == 3
    frequencies = MONO.frequencies()
    for number in (0, 3):
        loudest = [frequencies[s.values.reshape(-1, 16, s.frames)[0].mean(axis=1).argmax()]
                   for s in (mono.read("k", number), sides.read("k", number))]  # fmt: skip
        assert loudest[0] == loudest[1]
    with pytest.raises(StoreError, match=r"2 clip\(s\) in the store .* none is number 1"):
        mono.read("k", 1)


def test_a_store_from_before_starts_were_kept_is_read(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    uri = prepare_store(str(tmp_path), MONO)
    writer, values = ShardWriter(uri), np.ones((16, 9), np.float32)
    writer.add("k", ComputedClip(values, values))
    writer.close()
    (index,) = Path(uri).glob("parts/*.parquet")
    pq.write_table(pq.read_table(index).drop_columns(["start"]), index)
    assert math.isnan(FeatureStore(uri).read("k").start)


def test_old_numbers_are_not_found_under_the_keys_of_new_ones() -> None:
    from tonearm.core.seeding import digest

    assert track_key("c", ClipConfig()) == digest("c", ClipConfig().to_dict())
    assert track_key("c", CLIP) != digest("c", CLIP.to_dict())

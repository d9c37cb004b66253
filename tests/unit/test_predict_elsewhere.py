"""Files elsewhere that a model answers: they are what they are here, and one that was replaced is told."""

# ruff: noqa: F811  fixtures of another file
from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mutagen.flac import FLAC

from tests.builders import encode, sounds_like
from tests.unit.test_predict_files import CONFIG, model  # noqa: F401
from tonearm.core import home
from tonearm.core.errors import JobError
from tonearm.inference.measuring import DescriptorMeter
from tonearm.workflows import predict_files as module
from tonearm.workflows.predict_files import predict_files


def test_a_recording_elsewhere_is_what_it_is_here(model: str, tmp_path: Path) -> None:
    import fsspec

    here = tmp_path / "a.flac"
    here.write_bytes(encode(sounds_like("flute", 3), container="FLAC"))
    tagged = FLAC(here)
    tagged["title"], tagged["artist"] = "T", "A"
    tagged.save()
    fsspec.filesystem("memory").pipe_file("/elsewhere/a.flac", here.read_bytes())
    out = str(tmp_path / "answers.csv")
    assert predict_files([str(here)], out, model=model).heard == 1
    assert predict_files(["memory://elsewhere/a.flac"], out, model=model).heard == 0
    (row,) = pd.read_csv(out).to_dict("records")
    assert (row["title"], row["artist"]) == ("T", "A")


def test_what_is_written_before_it_is_heard_is_not_kept_as_what_was_there(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fsspec

    storage, uri, out = fsspec.filesystem("memory"), "memory://replaced/a.wav", str(tmp_path / "answers.csv")
    old, new = (encode(sounds_like("bass", seed)) for seed in (1, 2))
    storage.pipe_file(uri, old)
    hear = module.hear_contents

    def replaced(*given: Any) -> Any:
        stamps = given[2]
        storage.pipe_file(uri, new)
        ((content, stamp),) = stamps.items()
        meter = DescriptorMeter(CONFIG.clip.to_dict(), home.features_home(), "attempts")
        assert meter._row(content, uri, stamp) is None
        return hear(*given)

    with monkeypatch.context() as patch:
        patch.setattr(module, "hear_contents", replaced)
        with pytest.raises(JobError, match=r"changed 1"):
            predict_files([uri], out, model=model)
    (tmp_path / "a.wav").write_bytes(old)
    assert predict_files([str(tmp_path / "a.wav")], out, model=model).heard == 1

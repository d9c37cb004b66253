"""What is odd about files is kept beside their features, and what was refused holds for the decoder that refused it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders import track
from tonearm.audio.decoders import DECODER_VERSION
from tonearm.audio.windows import ClipConfig
from tonearm.core.seeding import digest
from tonearm.datasets.manifest import Reject
from tonearm.features import Mfcc
from tonearm.features.store import track_key
from tonearm.pipelines import extract
from tonearm.pipelines.extract import ExtractionReport, extract_features
from tonearm.pipelines.header_notes import keep_notes


def test_notes_are_said_again_by_a_later_job(tmp_path: Path) -> None:
    root, note = str(tmp_path), "claims 600 s, holds 60 s"
    assert keep_notes(root, ["a", "b"], {"a": note, "b": ""}) == {"a": note}
    assert keep_notes(root, ["a", "b"], {}) == {"a": note}
    assert keep_notes(root, ["b"], {}) == {}
    assert keep_notes(root, ["a", "b"], {"a": ""}) == {}, "it was decoded anew, and nothing is odd"
    assert keep_notes(root, ["a", "b"], {}) == {}


class WorkersAskedError(Exception):
    """Raised where an extraction would start workers."""


def test_what_an_older_decoder_refused_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip, feature, refused = ClipConfig(seconds=2.0), Mfcc(), track("a")

    def start() -> None:
        raise WorkersAskedError

    def extracted() -> ExtractionReport:
        key = digest(track_key(refused.content, clip), digest([feature.store_name()], 1.0, DECODER_VERSION))
        known = Reject(track_id="a", source="a", stage="extract", reason="undecodable", detail="no audio", key=key)
        return extract_features([refused], [feature], clip, str(tmp_path), 1.0, [known], start=start)

    assert [r.detail for r in extracted().rejects] == ["no audio"]
    monkeypatch.setattr(extract, "DECODER_VERSION", DECODER_VERSION + 1)
    with pytest.raises(WorkersAskedError):
        extracted()

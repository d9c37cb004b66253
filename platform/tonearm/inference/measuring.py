"""The descriptors of recordings that were never extracted: measured as extraction does, and kept with its rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from tonearm.audio.windows import ClipConfig
from tonearm.core.errors import AudioError
from tonearm.features.descriptor_means import describe_track
from tonearm.features.row_store import DESCRIPTOR_TABLE, write_rows
from tonearm.features.store import track_key
from tonearm.inference.batch import same_throughout
from tonearm.inference.described import measured
from tonearm.pipelines.decoding import attempts_folder, decoding_attempt

MAY_BE_BACK = ("missing", "changed")  # reasons of files of which nothing is kept


class DescriptorMeter:
    """Measures files and writes their rows; a worker of Ray Data, or called here.

    Parameters
    ----------
    clip
        How files are cut, as JSON has it.
    root
        Folder or URI of the feature stores, beside which the rows lie.
    attempts
        Identifier of this run, see :func:`tonearm.pipelines.decoding.attempts_folder`.
    """

    def __init__(self, clip: Mapping[str, Any], root: str, attempts: str) -> None:
        self._clip, self._root, self._attempts = ClipConfig.from_dict(dict(clip)), root, attempts_folder(attempts)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Columns of :func:`~tonearm.inference.answers.file_items`; of each the number of its files."""
        counts = []
        for item in batch["files"]:
            files = json.loads(str(item))
            rows = [self._row(*file) for file in files]
            write_rows(self._root, DESCRIPTOR_TABLE, [row for row in rows if row])
            counts.append(len(files))
        return {"tracks": np.array(counts), "from_audio": np.zeros(len(counts), np.int64)}

    def _row(self, content: str, source: str, stamp: str) -> dict[str, Any] | None:
        """What is too short, or not finite, has a row that says nothing, as in extraction."""
        row = {"track_key": track_key(content, self._clip), **describe_track([])}
        try:
            with same_throughout(source, content, stamp), decoding_attempt(self._attempts, content):
                return row | measured(source, self._clip)
        except AudioError as error:
            return None if error.reason in MAY_BE_BACK else row

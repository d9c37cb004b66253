"""Decoding inside an extraction: the clips of a batch of tracks, and what went wrong with which file."""

from __future__ import annotations

import json
import tempfile
import time
import traceback
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tonearm.audio.decode import Layout
from tonearm.audio.unchanged import require_unchanged
from tonearm.audio.windows import Clip, ClipConfig, load_clips
from tonearm.core import storage
from tonearm.core.errors import AudioError
from tonearm.core.metrics import DECODED_SECONDS, DECODED_TRACKS, EXTRACTION_SECONDS, REJECTS
from tonearm.features.base import Representation
from tonearm.features.row_store import DESCRIPTOR_TABLE, FINGERPRINT_TABLE

ANALYSIS_LAYOUT: Layout = (22050, 1)  # what fingerprints and descriptors are made of
LOUDNESS_LAYOUT: Layout = (
    44_100,
    "all",
)  # LUFS are defined on the channels as they are, and count what is above 11 kHz
MAX_ATTEMPTS = 2
#: Columns of the result, a row a track; ``left`` is how many rows of its batch follow, ``written`` holds the bytes of
#: the whole batch, in its first row.
RESULT_COLUMNS = ("key", "reason", "detail", "note", "size", "audio", "decode", "compute", "left", "written")

Columns = dict[str, list[Any]]


class ExtractionJob:
    """Settings that all workers of one extraction share; plain values, which can be sent to them.

    Parameters
    ----------
    features, clip
        As dicts.
    root
        Of the stores.
    min_seconds
        The least audio of a clip.
    attempts
        Identifier of this run; names the directory of attempt markers, by which a file that kills its worker twice
        is rejected.
    """

    def __init__(
        self, features: list[dict[str, Any]], clip: dict[str, Any], root: str, min_seconds: float, attempts: str
    ) -> None:
        self.features = {f.store_name(): f for f in map(Representation.from_dict, features)}
        self.clip = ClipConfig.from_dict(clip)
        self.root, self.min_seconds = root, min_seconds
        self._attempts = attempts_folder(attempts)

    def missing_representations(self, lacking: Sequence[str]) -> list[Representation]:
        """The representations among what a track lacks."""
        return [self.features[name] for name in lacking if name in self.features]

    def layouts(self, lacking: Sequence[str]) -> list[Layout]:
        """What the representations among these are made of."""
        return list(dict.fromkeys(f.layout for f in self.missing_representations(lacking)))

    def analysis_layouts(self, lacking: Sequence[str]) -> list[Layout]:
        """The layouts that fingerprints and descriptors need, if any are lacking, whatever else is extracted."""
        needed = {FINGERPRINT_TABLE: [ANALYSIS_LAYOUT], DESCRIPTOR_TABLE: [ANALYSIS_LAYOUT, LOUDNESS_LAYOUT]}
        return list(dict.fromkeys(layout for table in needed if table in lacking for layout in needed[table]))

    @contextmanager
    def attempt(self, key: str) -> Iterator[None]:
        """Note that a track is being decoded, so that one that kills its worker is known when that is restarted.

        Raises
        ------
        AudioError
            ``kills_worker`` at the third attempt.
        """
        with decoding_attempt(self._attempts, key):
            yield


def count_track(row: Mapping[str, Any]) -> None:
    """Count a row of the result."""
    DECODED_TRACKS.add()
    DECODED_SECONDS.add(row["audio"])
    for step in ("decode", "compute"):
        EXTRACTION_SECONDS.add(row[step], step=step)
    if row["reason"]:
        REJECTS.add(reason=row["reason"])


def attempts_folder(attempts: str) -> Path:
    """Where the workers of a machine note what they are decoding, by the identifier of a run."""
    return Path(tempfile.gettempdir()) / f"tonearm-attempts-{attempts}"


@contextmanager
def decoding_attempt(folder: Path, key: str) -> Iterator[None]:
    """Note in a folder that a track is being decoded, as :meth:`ExtractionJob.attempt`."""
    folder.mkdir(exist_ok=True)
    mark = folder / key
    before = mark.stat().st_size if mark.exists() else 0
    if before >= MAX_ATTEMPTS:
        raise AudioError("kills_worker", f"the worker died {before} times while this file was being decoded")
    with mark.open("ab") as file:
        file.write(b".")
    try:
        yield
    finally:  # not reached by a process that is killed
        mark.unlink(missing_ok=True)


class BatchDecoding:
    """One batch of tracks being decoded: a result row for each, with its reject reason, if any, and the time taken."""

    def __init__(self, job: ExtractionJob) -> None:
        self.job = job
        self.rows: list[dict[str, Any]] = []

    def tracks(self, batch: Mapping[str, Any]) -> Iterator[tuple[str, list[str], Generator[Clip]]]:
        """Key, what is lacking, and the clips of each track."""
        columns = (batch[name] for name in ("source", "key", "lacking", "stamp"))
        for source, key, lacking, stamp in zip(*columns, strict=True):
            self.rows.append(
                {
                    "key": str(key),
                    "reason": "",
                    "detail": "",
                    "note": "",
                    "size": -1,
                    "audio": 0.0,
                    "decode": 0.0,
                    "compute": 0.0,
                }
            )
            yield str(key), str(lacking).split(), self._clips(str(source), str(lacking).split(), str(stamp))

    def _clips(self, source: str, lacking: list[str], stamp: str) -> Generator[Clip]:
        row = self.rows[-1]
        layouts, beside = self.job.layouts(lacking), self.job.analysis_layouts(lacking)
        gated = layouts or beside[:1]  # where only the tables are lacking, their layouts decide on a reject
        with self.job.attempt(row["key"]):
            stamp = stamp or storage.stamp(source)
            clips = load_clips(
                source, self.job.clip, gated, self.job.min_seconds, beside, partial(row.__setitem__, "note")
            )
            while True:
                started = time.process_time()
                clip = next(clips, None)
                row["decode"] += time.process_time() - started
                if clip is None:
                    break
                row["audio"] += next(iter(clip.waveforms.values())).duration
                yield clip
            require_unchanged(source, stamp)

    @contextmanager
    def rejecting(self, source: str, row: dict[str, Any]) -> Iterator[None]:
        """Turn any failure on a file into a reject reason in its row: the job goes on."""
        try:
            yield
            return
        except AudioError as error:
            row["reason"], row["detail"] = error.reason, error.detail
        except MemoryError as error:
            row["reason"] = "out_of_memory"
            row["detail"] = str(error) or "the decoded clip does not fit into memory"
        except OSError as error:
            if storage.size(source) >= 0:
                raise  # not the file but our own disk: full, or gone
            row["reason"], row["detail"] = "missing", f"{source} cannot be read: {error.strerror or error}"
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            row["reason"] = "unexpected_error"
            row["detail"] = f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
        row["size"] = storage.size(source)

    def result_columns(self, written: Mapping[str, int]) -> Columns:
        """The rows as columns, what was written noted in the first."""
        out: Columns = {name: [r[name] for r in self.rows] for name in RESULT_COLUMNS[:-2]}
        out["left"] = list(range(len(self.rows)))[::-1]
        out["written"] = [json.dumps(written), *["{}"] * (len(self.rows) - 1)]
        return out

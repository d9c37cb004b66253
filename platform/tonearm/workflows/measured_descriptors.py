"""Tempo, key, loudness, ... of a library's recordings: read where they were measured, else measured now."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tonearm.core import home
from tonearm.features.descriptors import DESCRIPTORS
from tonearm.features.row_store import DESCRIPTOR_TABLE, join_rows, read_rows
from tonearm.features.store import track_key

if TYPE_CHECKING:
    from tonearm.audio.windows import ClipConfig


def measured_descriptors(
    sources: Mapping[str, str], clips: Sequence[ClipConfig], stamps: Mapping[str, str] | None = None
) -> dict[str, Mapping[str, Any]]:
    """The descriptors of recordings, by contents.

    What extraction or an earlier call has measured is not measured again; a job that was killed goes on.

    Parameters
    ----------
    sources
        Paths or URIs of files by their contents.
    clips
        By which rows may have been measured; the first one is what is measured now.
    stamps
        Of the files that the contents were read of, by contents, where they are known.

    Returns
    -------
    A row of each recording; one that is too short, or not finite, says nothing. One that cannot be read now has none.
    """
    found = stored_descriptors(list(sources), clips)
    missing = [(c, source, (stamps or {}).get(c, "")) for c, source in sources.items() if c not in found]
    if missing:
        _measure(missing, clips[0])
        found |= stored_descriptors([content for content, *_ in missing], clips[:1])
    return found


def without_descriptors(contents: Sequence[str], found: Mapping[str, Mapping[str, Any]]) -> int:
    """Of how many recordings nothing is known."""
    return sum(all(found.get(content, {}).get(name) is None for name in DESCRIPTORS) for content in contents)


def stored_descriptors(contents: Sequence[str], clips: Sequence[ClipConfig]) -> dict[str, Mapping[str, Any]]:
    """The descriptors of those of some recordings that were measured, by contents."""
    found: dict[str, Mapping[str, Any]] = {}
    for clip in clips:
        of_key = {track_key(content, clip): content for content in contents if content not in found}
        rows = read_rows(home.features_home(), DESCRIPTOR_TABLE, of_key)
        found |= {of_key[key]: row for key, row in rows.items()}
    return found


def _measure(missing: Sequence[tuple[str, str, str]], clip: ClipConfig) -> None:
    from tonearm.inference.answers import file_items
    from tonearm.inference.measuring import DescriptorMeter
    from tonearm.pipelines.decoding import attempts_folder
    from tonearm.workflows.predict_blocks import work_here_or_on_ray

    attempts = uuid.uuid4().hex
    arguments = {"clip": clip.to_dict(), "root": home.features_home(), "attempts": attempts}
    try:
        work_here_or_on_ray(file_items(missing), DescriptorMeter, arguments, "recordings measured", len(missing))
    finally:
        shutil.rmtree(attempts_folder(attempts), ignore_errors=True)
    join_rows(home.features_home(), DESCRIPTOR_TABLE)

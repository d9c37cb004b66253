"""One recording under two labels: one of them is wrong, and nothing tells which."""

from __future__ import annotations

from collections.abc import Sequence

from tonearm.core.text import list_examples, printable, quoted
from tonearm.datasets.manifest import Reject, Track

CONTRADICTION = "two_labels"
"""The reason of such rejects."""


def labels_differ(labels: Sequence[Sequence[str]]) -> bool:
    """Whether recordings that are the same have different labels; none is no other label."""
    return len({tuple(own) for own in labels if own}) > 1


def labels_told(names: Sequence[str], labels: Sequence[str]) -> str:
    """Which of alike recordings has which label, one a label first: ``a.mp3 is 'rock', b.mp3 is 'pop' and 2 more``."""
    told = [f"{printable(name)} is {quoted(label)}" for name, label in zip(names, labels, strict=True)]
    firsts = {label: text for text, label in reversed(list(zip(told, labels, strict=True)))}
    ordered = [text for text in told if text in firsts.values()]
    return list_examples([*ordered, *(text for text in told if text not in ordered)])


def set_aside_contradictions(
    tracks: Sequence[Track], duplicates: Sequence[Sequence[str]]
) -> tuple[list[Track], list[Reject]]:
    """The tracks without those that are one recording under two labels, and these as rejects.

    Parameters
    ----------
    duplicates
        Lists of track ids that are one recording.
    """
    by_id = {t.track_id: t for t in tracks}
    rejects = []
    for ids in duplicates:
        alike = [by_id[i] for i in ids if i in by_id]
        if labels_differ([t.all_labels for t in alike]):
            told = labels_told([t.track_id for t in alike], [t.label for t in alike])
            rejects += [
                Reject(track_id=t.track_id, source=t.source, stage="labels", reason=CONTRADICTION,
                       detail=f"one recording under two labels: {told}", key=t.content)
                for t in alike
            ]  # fmt: skip
    gone = {r.track_id for r in rejects}
    return [t for t in tracks if t.track_id not in gone], rejects


def differing_notes(told: Sequence[str], several: bool) -> list[str]:
    """A note on recordings whose copies have different labels and of which one is kept with the labels of all, or of
    the first.

    Parameters
    ----------
    told
        Of each such recording, which copy has which labels.
    """
    what = "the one that is kept has all of them" if several else "the first one's count"
    return [f"{len(told)} file(s) with copies have different labels, {what}: e.g. {told[0]}"] if told else []


def kept_apart_notes(tracks: Sequence[Track], duplicates: Sequence[Sequence[str]]) -> list[str]:
    """A note on recordings that are kept in several encodings with different labels; none where all agree."""
    by_id = {t.track_id: t for t in tracks}
    told = []
    for ids in duplicates:
        alike = [by_id[i] for i in ids if i in by_id]
        if labels_differ([tuple(sorted(t.all_labels)) for t in alike]):
            told.append(labels_told([t.track_id for t in alike], ["; ".join(t.all_labels) for t in alike]))
    return (
        [f"{len(told)} recording(s) are there twice with different labels, both stay: e.g. {told[0]}"] if told else []
    )


def contradiction_note(rejects: Sequence[Reject]) -> list[str]:
    """How many tracks were set aside since their labels contradict, with an example."""
    own = [r for r in rejects if r.reason == CONTRADICTION]
    if not own:
        return []
    return [f"{len(own)} file(s) are recordings under two labels, left out of training: e.g. {own[0].detail}"]

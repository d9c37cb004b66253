"""What a person wants to know at the end of the demo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tonearm.core import home
from tonearm.core.best_effort import best_effort
from tonearm.core.text import command, format_table
from tonearm.datasets.manifest import Manifest
from tonearm.inference import load
from tonearm.tasks.metrics import find_metric
from tonearm.tracking.names import CHAMPION
from tonearm.tracking.pages import page_of, web_server
from tonearm.tracking.query import champion_uri, registered
from tonearm.tracking.retry import address, retry
from tonearm.training.evaluate import Scores
from tonearm.workflows.demo_listen import Listened
from tonearm.workflows.demo_record import SCORES
from tonearm.workflows.promotion import format_with_interval, rounded
from tonearm.workflows.recommend import NeighbourQuality
from tonearm.workflows.selection import Selection
from tonearm.workflows.set_aside import set_aside_lines


@dataclass(frozen=True)
class Served:
    """What is served, beside what was chosen now.

    Attributes
    ----------
    version
        In the registry.
    chosen
        The version that was chosen now, and scored: the same, or another where the champion stayed.
    classes
        That it knows, where it is another.
    """

    version: str
    chosen: str
    classes: tuple[str, ...] = ()

    @property
    def is_other(self) -> bool:
        """Whether it is not what was scored."""
        return self.version != self.chosen

    @property
    def line(self) -> str:
        """A line above what it answers, where it is another; with its end, else ""."""
        if not self.is_other:
            return ""
        return f"  of the champion, version {self.version}; the scores above are of version {self.chosen}\n"


def find_served(selection: Selection) -> Served:
    """The champion; without one, what was chosen."""
    champion = retry(registered, selection.dataset, CHAMPION)
    if champion is None or champion.version == selection.version:
        return Served(selection.version, selection.version)
    classes = load(champion_uri(selection.dataset)).classes
    return Served(champion.version, selection.version, tuple(classes))


def summary(
    manifest: Manifest, selection: Selection, served: Served, quality: NeighbourQuality, seconds: dict[str, float],
    now: float, heard: Listened | None = None,
) -> str:  # fmt: skip
    """The end of the demo, for people; ``now`` is the seconds that this run took."""
    label = quality.rates[manifest.label]
    first, *others = selection.headline  # intervals that were read back from JSON have another order
    chance = "" if selection.chance is None else f"chance {selection.chance:.3f}"

    def row(name: str, scores: Scores) -> tuple[str, ...]:
        rest = ", ".join(f"{find_metric(m).label} {format_with_interval(scores.intervals[m])}" for m in others)
        return name, format_with_interval(scores.intervals[first]), rest

    scores = [
        row(f"test {find_metric(first).label}", selection.scores),
        row("best single trial", selection.single),
        *_listened_rows(heard, others),
        (selection.trivial_name, rounded(selection.trivial[first]), chance),
    ]
    neighbours = (f"any of {label.k} neighbours of own {manifest.label}", f"{label.at_least_one:.3f}",
                  f"chance {label.chance_at_least_one:.3f}")  # fmt: skip
    if served.is_other:
        knows = ""
        if set(served.classes) != set(manifest.classes):
            knows = f", which knows {len(served.classes)} classes ({_few(served.classes)})"
        shown = [
            f"chosen now, and not served: version {served.chosen}; {selection.why}",
            format_table(scores),
            f"served: the champion, version {served.version}{knows}; its catalogue is of the {quality.tracks} tracks",
            format_table([neighbours]),
        ]
    else:
        shown = [format_table([*scores, neighbours])]
    shown.insert(0, f"  chosen of the {_candidates(selection, heard)}: {selection.choice}")
    took = ", ".join(f"{name.split(':')[0]} {s:.0f}" for name, s in seconds.items())
    page = best_effort("the address of its page", lambda: page_of(manifest.name, web_server()))
    promote = command("select", *selection.chosen_from, "--promote")
    return "\n".join([
        f"\n=== {manifest.name}: {len(manifest.tracks)} tracks, {len(manifest.classes)} classes ({manifest.label})",
        *shown,
        *(f"  {line}" for line in set_aside_lines(manifest.name)),
        f"  seconds: {took}; in all {sum(seconds.values()):.0f}"
        + (f" (this run {now:.0f})" if now < 0.9 * sum(seconds.values()) else ""),
        *(f"  note: {note}" for note in manifest.notes),
        f"""  plots and summary  {home.reports_home(manifest.name)}
  MLflow database    {address()}
next:
  make mlflow                            compare the trials in a browser, at
                                         {page or address()}
  make serve                             the server stays up; ask it with curl (README)
  {command("compare", selection.sweep):<38} which trial is better, how surely, as a page""",
        *([f"  {promote:<38} serve version {served.chosen} all the same"] if served.is_other else []),
        *(["  make demo AUDIO=~/Music LABEL=genre    your own recordings"] if manifest.name == SCORES else []),
    ])  # fmt: skip


def summary_values(
    manifest: Manifest, selection: Selection, served: Served, quality: NeighbourQuality, seconds: dict[str, float],
    heard: Listened | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The same for machines."""
    return {
        "dataset": manifest.name, "sweep": selection.sweep, "tracks": len(manifest.tracks),
        "classes": list(manifest.classes), "chosen_version": served.chosen, "served_version": served.version,
        "test": selection.scores.to_dict(), "best_single": selection.single.to_dict(),
        "ensemble": selection.ensemble and selection.ensemble.to_dict(),
        "trivial": selection.trivial, "chance": selection.chance, "seconds": seconds,
        "hit_rate": {k: vars(v) for k, v in quality.rates.items()}, "notes": list(manifest.notes),
        "choice": selection.choice, "listened": heard.to_dict() if heard else None,
    }  # fmt: skip


def _listened_rows(heard: Listened | None, others: Sequence[str]) -> list[tuple[str, ...]]:
    """As rows of the scores: the first headline metric, and the others behind their names."""
    return [
        (name, first, ", ".join(f"{find_metric(m).label} {text}" for m, text in zip(others, rest, strict=True)))
        for name, first, *rest in (heard.rows() if heard else ())
    ]


def _candidates(selection: Selection, heard: Listened | None) -> str:
    """What was chosen from, in words."""
    own = [f"{i:02d}" for i, name in selection.others.items() if heard and name == heard.training.name]
    return "sweep's trials" + (f" and {heard.name} (trial {', '.join(own)})" if heard and own else "")


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")

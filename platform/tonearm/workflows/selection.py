"""What a selection came to: the ensemble, its scores on test beside simpler answers, and whether it was promoted."""

from __future__ import annotations

import dataclasses
import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tonearm.core.text import command, format_table
from tonearm.tasks.metrics import find_metric
from tonearm.tracking import names
from tonearm.tracking.query import champion_uri
from tonearm.training.evaluate import Scores
from tonearm.workflows.promotion import format_with_interval, rounded

if TYPE_CHECKING:
    import pandas as pd

CONTEXT = ("sweep", "dataset", "headline")  # known from the sweep: not in its record


@dataclass(frozen=True)
class Selection:
    """The chosen ensemble and its scores on test, beside the best single trial, what needs no model, and chance.

    Attributes
    ----------
    bundle
        Folder or URI of the ensemble.
    members
        How often each trial was chosen, by its index.
    trivial, trivial_name
        Metrics of what needs no model, and what that is: ``"majority class"``.
    chance
        The primary metric of guessing; None where guessing has no meaning, or what it comes to is not known.
    version
        In the registry.
    promoted, why
        Whether it is the champion now, and the reason.
    sweep, dataset
        Their names.
    headline
        The task's metrics that are shown, in their order.
    single_trial
        Index of the best single trial; None in a record from before it was kept.
    """

    bundle: str
    members: dict[int, int]
    ensemble: Scores
    single: Scores
    trivial: dict[str, float]
    trivial_name: str
    chance: float | None
    version: str
    promoted: bool
    why: str
    sweep: str
    dataset: str
    headline: tuple[str, ...]
    single_trial: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """As its record in the sweep's folder has it."""
        return {k: v for k, v in dataclasses.asdict(self).items() if k not in CONTEXT}

    @classmethod
    def from_dict(cls, values: dict[str, Any], sweep: str, dataset: str, headline: tuple[str, ...]) -> Selection:
        """The inverse of :meth:`to_dict`, by way of JSON."""
        scores = {k: Scores.from_dict(values[k]) for k in ("ensemble", "single")}
        members = {int(k): v for k, v in values["members"].items()}
        return cls(**{**values, **scores, "members": members}, sweep=sweep, dataset=dataset, headline=headline)

    @property
    def model(self) -> str:
        """The registry's URI of this version; :func:`tonearm.load` takes it."""
        return f"models:/{names.model_name(self.dataset)}/{self.version}"

    @property
    def table(self) -> pd.DataFrame:
        """The headline metrics on test: the ensemble, the best single trial, what needs no model, and chance."""
        import pandas as pd

        rows = {"ensemble": self.ensemble.metrics, "best single trial": self.single.metrics,
                self.trivial_name: self.trivial}  # fmt: skip
        if self.chance is not None:
            rows["chance"] = {self.headline[0]: self.chance}
        return pd.DataFrame.from_dict(rows, orient="index", columns=list(self.headline))

    def __str__(self) -> str:
        chosen = ", ".join(f"{i:02d}" + (f" x{w}" if w > 1 else "") for i, w in self.members.items())
        rows: list[tuple[str, ...]] = [("", *(f"{find_metric(metric).label} [95 %]" for metric in self.headline))]
        for name, scores in (("ensemble", self.ensemble), ("best single trial", self.single)):
            rows.append((name, *(format_with_interval(scores.intervals[metric]) for metric in self.headline)))
        rows.append((self.trivial_name, *(rounded(self.trivial[metric]) for metric in self.headline)))
        if self.chance is not None:
            rows.append(("chance", rounded(self.chance), *[""] * (len(self.headline) - 1)))
        became = "promoted to champion" if self.promoted else "candidate, not promoted (the promote option does it)"
        return "\n".join([
            f"  ensemble of trials {chosen}, chosen on validation; on {self.ensemble.tracks} test tracks, once:",
            format_table(rows),
            *self._explained(),
            f"  registered as {names.model_name(self.dataset)} version {self.version}, {became}: {self.why}",
            f"  the champion: {champion_uri(self.dataset)}",
            f"  how it compares with the trials: {command('compare', self.sweep)}",
        ])  # fmt: skip

    def _explained(self) -> list[str]:
        several = max(self.members.values(), default=1) > 1
        lines = ["  xN: how often the search on validation chose a trial, which is its weight"] if several else []
        if self.single_trial is not None:
            which = f"  best single trial: {self.single_trial:02d}, the best on validation"
            lines.append(f"{which} of all trials, those that were stopped early included")
        return lines

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        became = "the champion" if self.promoted else "candidate"
        head = f"<b>{html.escape(self.model)}</b>, {became}: {html.escape(self.why)}"
        return f"<p>{head}</p>{self.table.to_html(float_format='{:.3f}'.format)}"

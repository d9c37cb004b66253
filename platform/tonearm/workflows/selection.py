"""What a selection came to: the ensemble, its scores on test beside simpler answers, and whether it was promoted."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tonearm.core.text import command, format_table
from tonearm.ensembles.combination import MEAN, NAMES
from tonearm.tasks.metrics import find_metric
from tonearm.tracking import names
from tonearm.tracking.query import champion_uri
from tonearm.training.evaluate import Scores
from tonearm.workflows.promotion import format_with_interval, rounded

if TYPE_CHECKING:
    import pandas as pd

CONTEXT = ("sweep", "dataset", "headline", "page", "others", "to_index")  # known from the sweep: not in its record


@dataclass(frozen=True)
class Selection:
    """What was chosen and its scores on test, beside what needs no model, and chance.

    Attributes
    ----------
    bundle
        Folder or URI of what is registered.
    members
        What is registered: how often each trial was chosen, by its index; of a single trial 1.
    ensemble_members, ensemble
        The same of the ensemble, whether it is registered or not, and its scores on test; None where the search found
        a single trial.
    single
        Scores on test of the best single trial.
    held_out, is_corrected
        Of what is registered, on validation tracks, predicted by what was chosen without them; not so if the tracks
        are of one group.
    trivial, trivial_name
        Metrics of what needs no model, and what that is: ``"majority class"``.
    chance
        The primary metric of guessing; None where guessing has no meaning, or what it comes to is not known.
    choice
        Why it is the ensemble, or the single trial.
    version
        In the registry.
    promoted, why
        Whether it is the champion now, and the reason.
    sweep, dataset
        Names of the sweep or training, and of the data set.
    headline
        The task's metrics that are shown, in their order.
    single_trial
        Index of the best single trial.
    page
        Where its run is looked at, for people; "" if that is not known.
    calibration
        Expected calibration error on test of what is registered, without and with the temperatures that validation
        gave; None where predictions are no probabilities, and of what earlier versions selected.
    combination
        How the members of the ensemble answer together, a kind of
        :class:`tonearm.ensembles.combination.Combination`.
    to_index
        Commands that index, for the new champion, the libraries that were indexed for the one before.
    others
        Of trials that came from another sweep or training than ``sweep``: its name, by index.
    """

    bundle: str
    members: dict[int, int]
    ensemble_members: dict[int, int]
    ensemble: Scores | None
    single: Scores
    held_out: Scores
    is_corrected: bool
    trivial: dict[str, float]
    trivial_name: str
    chance: float | None
    choice: str
    version: str
    promoted: bool
    why: str
    sweep: str
    dataset: str
    headline: tuple[str, ...]
    single_trial: int
    page: str = ""
    others: Mapping[int, str] = field(default_factory=dict)
    calibration: tuple[float, float] | None = None
    combination: str = MEAN
    to_index: tuple[str, ...] = ()

    @property
    def chosen_from(self) -> tuple[str, ...]:
        """Names of the sweeps and trainings, as ``tonearm select`` takes them."""
        return tuple(dict.fromkeys([self.sweep, *self.others.values()]))

    @property
    def takes_ensemble(self) -> bool:
        """Whether the ensemble is what is registered."""
        return len(self.members) > 1

    @property
    def scores(self) -> Scores:
        """On test, of what is registered."""
        return self.ensemble if self.takes_ensemble and self.ensemble else self.single

    def to_dict(self) -> dict[str, Any]:
        """As its record in the sweep's folder has it."""
        return {k: v for k, v in dataclasses.asdict(self).items() if k not in CONTEXT}

    @classmethod
    def from_dict(
        cls, values: dict[str, Any], sweep: str, dataset: str, headline: tuple[str, ...],
        others: Mapping[int, str] | None = None,
    ) -> Selection:  # fmt: skip
        """The inverse of :meth:`to_dict`, by way of JSON."""
        scores = {k: Scores.from_dict(values[k]) for k in ("ensemble", "single", "held_out") if values[k]}
        members = {k: {int(i): w for i, w in values[k].items()} for k in ("members", "ensemble_members")}
        context = {"sweep": sweep, "dataset": dataset, "headline": headline, "others": others or {}}
        calibration = tuple(values["calibration"]) if values.get("calibration") else None
        return cls(**{**values, **scores, **members, **context, "calibration": calibration})

    @property
    def model(self) -> str:
        """The registry's URI of this version; :func:`tonearm.load` takes it."""
        return f"models:/{names.model_name(self.dataset)}/{self.version}"

    @property
    def table(self) -> pd.DataFrame:
        """The headline metrics on test: the ensemble, the best single trial, what needs no model, and chance."""
        import pandas as pd

        rows = {name: scores.metrics for name, scores in self._rows()} | {self.trivial_name: self.trivial}
        if self.chance is not None:
            rows["chance"] = {self.headline[0]: self.chance}
        return pd.DataFrame.from_dict(rows, orient="index", columns=list(self.headline))

    def _rows(self) -> list[tuple[str, Scores]]:
        return [*([("ensemble", self.ensemble)] if self.ensemble else []), ("best single trial", self.single)]

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [("", *(f"{find_metric(metric).label} [95 %]" for metric in self.headline))]
        for name, scores in self._rows():
            rows.append((name, *(format_with_interval(scores.intervals[metric]) for metric in self.headline)))
        rows.append((self.trivial_name, *(rounded(self.trivial[metric]) for metric in self.headline)))
        if self.chance is not None:
            rows.append(("chance", rounded(self.chance), *[""] * (len(self.headline) - 1)))
        metric, how = self.headline[0], "that did not choose it" if self.is_corrected else "that chose it"
        asked = command("select", *self.chosen_from, "--promote")
        became = "promoted to champion" if self.promoted else f"candidate, not promoted ({asked} does it)"
        return "\n".join([
            f"  chosen: {self.choice}",
            *self._explained(),
            f"  on validation tracks {how}: {find_metric(metric).label} "
            + format_with_interval(self.held_out.intervals[metric]),
            f"  on {self.single.tracks} test tracks, once:",
            format_table(rows),
            *self._calibrated(),
            f"  registered as {names.model_name(self.dataset)} version {self.version}, {became}: {self.why}",
            f"  the champion: {champion_uri(self.dataset)}",
            f"  how it compares with the trials: {command('compare', self.sweep)}",
            *([f"  {self.page}"] if self.page else []),
            *self._left_behind(),
        ])  # fmt: skip

    def _left_behind(self) -> list[str]:
        if not self.to_index:
            return []
        return [
            f"  note: {len(self.to_index)} catalogue(s) of libraries are in the space of the champion before; this "
            "one recommends from them when they are indexed for it:",
            *(f"    {line}" for line in self.to_index),
        ]

    def _calibrated(self) -> list[str]:
        if self.calibration is None:
            return []
        before, after = map(rounded, self.calibration)
        return [f"  expected calibration error on test: {after}; {before} without temperatures, which validation gave"]

    def _explained(self) -> list[str]:
        came = [f"  trial {i:02d} is of {name}" for i, name in self.others.items()]
        if not self.ensemble:
            return came
        members = ", ".join(f"{i:02d}" + (f" x{w}" if w > 1 else "") for i, w in self.ensemble_members.items())
        several = max(self.ensemble_members.values(), default=1) > 1
        times = "; xN: how often the search chose it, its weight" if several else ""
        by = "" if self.combination == MEAN else f", combined by {NAMES[self.combination]}"
        return [*came, f"  the ensemble is of trials {members}{times}{by}"]

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        became = "the champion" if self.promoted else "candidate"
        head = f"<b>{html.escape(self.model)}</b>, {became}: {html.escape(self.why)}"
        return f"<p>{head}</p>{self.table.to_html(float_format='{:.3f}'.format)}"

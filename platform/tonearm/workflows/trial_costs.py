"""What answers of trials cost a track on this machine, and the plot of their scores against it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from tonearm.audio.windows import Clip
from tonearm.comparison.curves import overlapping_labels, pareto_front
from tonearm.core import home, storage
from tonearm.core.errors import AudioError, JobError
from tonearm.core.figures import new_figure
from tonearm.core.plugins import modules_of
from tonearm.core.types import FloatArray
from tonearm.inference.batch import TrackReader
from tonearm.inference.cost import CostParts, decoding_cost, feature_cost, network_cost, total_cost
from tonearm.sweeps.results import TrialResult
from tonearm.tasks.metrics import Metric
from tonearm.training.bundle import Bundle, load_bundle

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tonearm.workflows.choose import Chosen
    from tonearm.workflows.trial_library import TrialLibrary

MEASURED_TRACKS = 3
MOST_DRAWN = 16  # trials: to measure all of hundreds would take longer than to choose
ENSEMBLE = "ensemble"


class TrialCosts:
    """Milliseconds a track of all that answers of trials need, each part measured once, in one thread.

    A recording is decoded once for a clip and a form of its samples, and a representation is computed once of a clip,
    whatever number of networks take it. What representations of one clip share beyond that is counted in each, so that
    an answer costs no more than is said.

    Parameters
    ----------
    library
        Some of whose validation tracks are heard.
    whole
        Whether it is an error if recordings cannot be heard here; else costs are of networks alone then, and
        ``notes`` say so.
    """

    def __init__(self, library: TrialLibrary, whole: bool = False) -> None:
        self._tracks = library.manifest.of("validation")[:MEASURED_TRACKS]
        self._reader = TrackReader(home.features_home(), home.node_cache())
        self._known: dict[Hashable, float] = {}
        self._of_trial: dict[str, CostParts] = {}
        self._clips: dict[Hashable, list[list[Clip]]] = {}
        self._whole, self.notes = whole, list[str]()

    def __call__(self, trials: Sequence[TrialResult]) -> list[CostParts]:
        """In their order.

        Raises
        ------
        JobError
            If recordings cannot be heard here, and whole answers are asked for.
        """
        for trial in trials:
            uri = trial.folder.bundle_uri
            if uri not in self._of_trial:
                self._of_trial[uri] = self._measured(uri, load_bundle(uri, modules_of(trial.config)))
        return [self._of_trial[trial.folder.bundle_uri] for trial in trials]

    def _measured(self, uri: str, member: Bundle) -> CostParts:
        stored = [self._reader.read(member, t.content, t.source)[0] for t in self._tracks]
        parts: dict[Hashable, float] = {("network", uri): network_cost(member, stored)}
        if not self.notes:
            try:
                parts |= self._hearing(member)
            except (OSError, AudioError) as error:
                problem = f"recordings cannot be heard here ({error})"
                if self._whole:
                    raise JobError(
                        f"{problem}, so that it cannot be measured what an answer costs: put them back, or select "
                        "without a limit of milliseconds"
                    ) from error
                self.notes.append(f"costs are of networks alone: {problem}")
        return parts

    def _hearing(self, member: Bundle) -> dict[Hashable, float]:
        """Of decoding and the representations that a network takes."""
        clip, parts = member.config.clip, dict[Hashable, float]()
        for feature in member.config.audio_inputs().values():
            decoded, computed = ("decoding", clip, feature.layout), ("feature", clip, feature.store_name())
            if decoded not in self._known:
                found = decoding_cost(self._recordings, clip, feature, member.config.min_seconds)
                self._known[decoded], self._clips[decoded] = found
            if computed not in self._known:
                self._known[computed] = feature_cost(self._clips[decoded], feature)
            parts |= {name: self._known[name] for name in (decoded, computed)}
        return parts

    @cached_property
    def _recordings(self) -> list[bytes]:
        return [storage.read_bytes(track.source) for track in self._tracks]


def points_of(chosen: Chosen, costs: TrialCosts) -> dict[str, tuple[float, float]]:
    """Milliseconds a track, and the primary metric on validation, of the best trials and of the ensemble, by label.

    The ensemble's score is that on tracks that did not choose it, where it is known.
    """
    validation = chosen.validation[0]
    task, primary, groups = chosen.single_trial.config.task, chosen.single_trial.config.task.primary, validation.groups

    def score(predictions: FloatArray) -> float:
        return task.selected_metrics((primary,), predictions, validation.target, groups)[primary]

    scores = [score(v.probabilities) for v in chosen.validation]
    best = sorted(range(len(scores)), key=lambda i: (-scores[i] if task.maximise else scores[i], i))[:MOST_DRAWN]
    drawn = sorted({*best, chosen.single, *chosen.ensemble})
    found = {
        f"{chosen.trials[i].index:02d}": (total_cost([parts]), scores[i])
        for i, parts in zip(drawn, costs([chosen.trials[i] for i in drawn]), strict=True)
    }
    if len(chosen.ensemble) > 1:
        whole = total_cost(costs([chosen.trials[i] for i in chosen.ensemble]))
        each = [score(p) for p in chosen.held_out_ensemble]
        found[ENSEMBLE] = (whole, sum(each) / len(each))
    return found


def cost_figure(
    points: Mapping[str, tuple[float, float]], registered: str, metric: Metric, most_milliseconds: float = 0.0
) -> Figure:
    """Score against milliseconds a track; the line joins what nothing cheaper beats.

    Parameters
    ----------
    points
        Milliseconds and score, by label.
    registered
        The label of what is registered, which is marked.
    metric
        Of the scores.
    most_milliseconds
        The limit, drawn as a line; 0: there was none.
    """
    cost, score = ({label: p[i] for label, p in points.items()} for i in (0, 1))
    front = pareto_front(cost, score, metric.maximise)
    figure = new_figure(7, 4.2)
    axis = figure.subplots()
    axis.plot([cost[f] for f in front], [score[f] for f in front], color="grey", linewidth=1, linestyle="--")
    for label in points:
        mark, size = ("*", 15) if label == registered else ("s" if label == ENSEMBLE else "o", 6)
        axis.plot([cost[label]], [score[label]], mark, color="C0" if label in front else "grey", markersize=size)
    for labels in overlapping_labels(cost, score):
        axis.annotate(", ".join(labels), (cost[labels[0]], score[labels[0]]), xytext=(6, 5), fontsize=9,
                      textcoords="offset points")  # fmt: skip
    if most_milliseconds:
        axis.axvline(most_milliseconds, color="C3", linewidth=1)
        axis.annotate("limit", (most_milliseconds, 1), xycoords=("data", "axes fraction"), xytext=(3, -12),
                      textcoords="offset points", color="C3", fontsize=9)  # fmt: skip
    axis.set(xlabel="milliseconds a track (decoding to networks, one thread)", ylabel=f"{metric.label} on validation",
             title=f"Numbers are trials; the star is registered: {registered}")  # fmt: skip
    axis.set_xscale("log")
    axis.margins(0.12)
    axis.grid(alpha=0.3)
    return figure

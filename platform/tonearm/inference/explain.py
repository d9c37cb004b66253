"""Why a model answers as it does, in numbers that sum to the answer.

Three sums are exact. The members' shares, and what their combination says whatever they answer, are the difference of
the ensemble's probabilities. A mean kernel's decision
is linear in the kernel, a mean over inputs: what its inputs add (or its landmarks), and a rest that is the same
for every recording, is its log-odds. The mean of the windows' log-odds is that of the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from tonearm.core.errors import ConfigError, UnknownNameError
from tonearm.core.precision import float32_products
from tonearm.core.text import format_table
from tonearm.core.types import FloatArray, Prediction
from tonearm.ensembles.bundle import Ensemble
from tonearm.ensembles.combination import WEIGHTED_MEAN
from tonearm.inference.member import MemberPrediction, StoredTrack, member_clips, member_windows
from tonearm.models.mean_kernel import MeanKernelNetwork
from tonearm.tasks import Regression, SingleLabel, Task
from tonearm.tasks.multi_hot import MultiHot
from tonearm.training.bundle import Bundle
from tonearm.training.logits import device_of
from tonearm.training.windows import window_times

SHOWN = 5  # inputs and tracks in a table
NAMED = 2  # in a sentence
LEAST_LIKENESS = 0.005  # shown as 0.01: what is less like is not like it


@dataclass(frozen=True)
class InputPart:
    """What one input of a mean kernel adds to its log-odds."""

    name: str
    log_odds: float


@dataclass(frozen=True)
class TrackPart:
    """What a training track adds to the log-odds of a mean kernel, and its likeness to the recording, 0..1."""

    track_id: str
    likeness: float
    log_odds: float


@dataclass(frozen=True)
class WindowPart:
    """The log-odds of one window by itself, and where it begins and ends in the recording, seconds."""

    start: float
    end: float
    log_odds: float


@dataclass(frozen=True)
class MemberPart:
    """What one network of a model says.

    Attributes
    ----------
    name
        The kind of the network.
    share
        What it adds to the difference of the ensemble's probabilities.
    log_odds
        The mean of its windows', calibrated: of one window that of its answer. Of a regression the network's output.
    windows
        In their order.
    inputs
        Of a mean kernel, by the name of the input; else none.
    rest
        What a mean kernel says of every recording: how frequent the classes are.
    tracks
        Of a mean kernel the training tracks that it compares with, those most alike first; else none.
    """

    name: str
    share: float
    log_odds: float
    windows: tuple[WindowPart, ...]
    inputs: tuple[InputPart, ...] = ()
    rest: float = 0.0
    tracks: tuple[TrackPart, ...] = ()


@dataclass(frozen=True, repr=False)
class Explanation:
    """Why a model says one thing rather than another.

    Attributes
    ----------
    label, against
        What is explained, and what it is compared with: the runner-up; None where outputs do not exclude each other,
        and log-odds are those of the label by itself.
    difference
        Of the probabilities of both; without ``against`` the label's.
    members
        Of the model, in their order.
    rest
        What the ensemble would say if no member knew anything; 0 of a weighted mean.
    """

    label: str
    against: str | None
    difference: float
    members: tuple[MemberPart, ...]
    rest: float = 0.0

    @property
    def sentence(self) -> str:
        """In a line: the member that says most, and what it goes by."""
        lead = max(self.members, key=lambda m: m.share)
        by = f"{lead.name} adds {lead.share:+.2f} of {self.difference:+.2f}: " if len(self.members) > 1 else ""
        strongest = sorted(lead.inputs, key=lambda p: -p.log_odds)[:NAMED] if len(lead.inputs) > 1 else ()
        speaks = [w for w in lead.windows if w.log_odds > 0]
        said = [", ".join(f"{p.name} {p.log_odds:+.2f}" for p in strongest) + " of"] if strongest else []
        said.append(f"log-odds {lead.log_odds:+.2f}")
        if len(lead.windows) > 1:
            best = max(lead.windows, key=lambda w: w.log_odds)
            most = f", most at {_times(best)}" if speaks else ""
            said.append(f"in {len(speaks)} of {len(lead.windows)} windows{most}")
        alike = ", ".join(t.track_id for t in lead.tracks[:NAMED] if t.likeness >= LEAST_LIKENESS)
        nothing = "; like none of the training tracks" if lead.tracks else ""
        return f"{self._what}: {by}{' '.join(said)}" + (f"; most like {alike}" if alike else nothing)

    @property
    def _what(self) -> str:
        return f"{self.label} rather than {self.against}" if self.against else self.label

    def __repr__(self) -> str:
        lines = [f"{self._what}: {self.difference:+.3f}" + (" in probability" if self.against else "")]
        for m in self.members:
            lines += [f"{m.name}: {m.share:+.3f} of it, log-odds {m.log_odds:+.2f}", format_table(_rows(m))]
        return "\n".join(lines)


def explain(
    ensemble: Ensemble, stored: Sequence[StoredTrack], answers: Sequence[MemberPrediction], prediction: Prediction,
    label: str = "", against: str = "",
) -> Explanation:  # fmt: skip
    """Explain an answer.

    Parameters
    ----------
    stored, answers
        What each member heard of the track, and what it answered, with its windows' logits.
    prediction
        What they answered together.
    label, against
        Of the model's classes; none given: the most probable one, and the next.

    Raises
    ------
    ConfigError
        If the model knows no such class, both are the same, or it predicts no classes, labels or numbers.
    """
    task = ensemble.task
    if not is_explained(task):
        raise ConfigError(f"a model of the task {task.kind!r} gives a vector: what classes or numbers say is explained")
    compete = isinstance(task, SingleLabel) and len(ensemble.classes) > 1
    unknown = [name for name in (label, against) if name and name not in ensemble.classes]
    if unknown:
        raise UnknownNameError(f"the model knows no {unknown[0]!r}: {', '.join(ensemble.classes)}")
    if against and (not compete or against == label):
        raise ConfigError(f"{against!r} is no other class than {label!r} that excludes it: leave it out")
    ranked = [name for name, _ in prediction.top(len(ensemble.classes)) if name != against]
    label = label or ranked[0]
    against = against or next((name for name in ranked if name != label), "") if compete else ""
    direction = np.array([(name == label) - float(name == against) for name in ensemble.classes], np.float32)
    rest, shares = member_shares(ensemble, [a.probabilities for a in answers], direction)
    each = zip(ensemble.members, stored, answers, ensemble.temperatures, shares, strict=True)
    parts = tuple(
        _member_part(member, heard, answer, direction, temperature, share)
        for member, heard, answer, temperature, share in each
    )
    return Explanation(label, against or None, float(prediction.probabilities @ direction), parts, rest)


def member_shares(
    ensemble: Ensemble, predictions: Sequence[FloatArray], direction: FloatArray
) -> tuple[float, list[float]]:
    """What an ensemble says in a direction of its outputs, as a sum.

    A weighted mean is a sum. Of another combination a member's share is what the answer gains when the member's
    prediction takes the place of one that knows nothing (all outputs alike), members coming one after the other; the
    mean over as many orders as there are members, each of which begins with another one.

    Parameters
    ----------
    predictions
        Of each member, not calibrated, (outputs,).
    direction
        Of the difference that is explained, (outputs,).

    Returns
    -------
    What is said when no member knows anything, and the share of each.
    """
    calibrated = ensemble.calibrated(predictions)
    if ensemble.combination == WEIGHTED_MEAN:
        total = sum(ensemble.weights)
        pairs = zip(calibrated, ensemble.weights, strict=True)
        return 0.0, [weight / total * float(p @ direction) for p, weight in pairs]
    count, outputs = len(calibrated), len(direction)
    nothing = np.full(outputs, 1 / outputs if isinstance(ensemble.task, SingleLabel) else 0.5, np.float32)

    def said(known: Sequence[int]) -> float:
        place = [p if i in known else nothing for i, p in enumerate(calibrated)]
        return float(ensemble.combination.combine(ensemble.task, place, ensemble.weights) @ direction)

    shares, rest = [0.0] * count, said(())
    for first in range(count):
        order, before = [(first + i) % count for i in range(count)], rest
        for i, member in enumerate(order):
            now = said(order[: i + 1])
            shares[member] += (now - before) / count
            before = now
    return rest, shares


def is_explained(task: Task) -> bool:
    """Whether a task's outputs stand for something of which can be said what speaks for it."""
    return isinstance(task, SingleLabel | MultiHot | Regression)


def _member_part(
    member: Bundle, stored: StoredTrack, answer: MemberPrediction, direction: FloatArray, temperature: float,
    share: float,
) -> MemberPart:  # fmt: skip
    config, network = member.config, member.network
    if answer.logits is None:
        raise ValueError("the answer was kept without its windows' logits: predict the track again")
    clips, inputs = member_clips(member, stored), config.audio_inputs()
    timed = min(inputs, key=lambda name: inputs[name].is_whole)  # those of a spectrogram, if there is one
    times = window_times(clips[timed], config, inputs[timed])
    margins = answer.logits @ direction / temperature
    if len(margins) == 1:  # also of a network that hears a track at once
        times = [(min(start for start, _ in times), max(end for _, end in times))]
    windows = tuple(WindowPart(*span, float(m)) for span, m in zip(times, margins, strict=True))
    said = float(margins.mean())
    if not isinstance(network, MeanKernelNetwork):
        return MemberPart(config.model.kind, share, said, windows)
    with torch.inference_mode(), float32_products():
        x = member_windows(member, stored)
        towards = torch.from_numpy(direction).to(device_of(network)) / temperature
        likeness = network.likeness(network.vectors(x)).mean(dim=0)
        by_input, by_landmark, rest = network.contributions(x, towards)
    names = member.landmarks or tuple(f"training track {i}" for i in range(1, len(likeness) + 1))
    tracks = [TrackPart(*each) for each in zip(names, likeness.tolist(), by_landmark.mean(dim=0).tolist(), strict=True)]
    added = zip(network.names, by_input.mean(dim=0).tolist(), strict=True)
    return MemberPart(
        config.model.kind, share, said, windows, tuple(InputPart(*each) for each in added), float(rest),
        tuple(sorted(tracks, key=lambda t: -t.likeness)),
    )  # fmt: skip


def _rows(member: MemberPart) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    if member.inputs:
        strongest = sorted(member.inputs, key=lambda p: -abs(p.log_odds))
        others = sum(p.log_odds for p in strongest[SHOWN:])
        rows.append(("input", "log-odds", ""))
        rows += [(p.name, f"{p.log_odds:+.2f}", "") for p in strongest[:SHOWN]]
        rows += [(f"{len(strongest) - SHOWN} others", f"{others:+.2f}", "")] if strongest[SHOWN:] else []
        rows.append(("any recording", f"{member.rest:+.2f}", ""))
    if len(member.windows) > 1:
        rows += [("window", "log-odds", ""), *((_times(w), f"{w.log_odds:+.2f}", "") for w in member.windows)]
    if member.tracks:
        rows.append(("training track", "log-odds", "likeness"))
        rows += [(t.track_id, f"{t.log_odds:+.3f}", f"{t.likeness:.2f}") for t in member.tracks[:SHOWN]]
    return rows or [("one window", f"{member.log_odds:+.2f}")]


def _times(window: WindowPart) -> str:
    return f"{window.start:.0f}-{window.end:.0f} s" if window.end >= 10 else f"{window.start:.1f}-{window.end:.1f} s"

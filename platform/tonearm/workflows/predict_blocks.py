"""Predictions of many tracks by several networks: on Ray where that pays, with progress, and never made twice."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from typing import Any

from tonearm.core import home, storage
from tonearm.core.errors import AudioError
from tonearm.core.precision import is_gpu, require_device
from tonearm.core.progress import Progress
from tonearm.core.threads import torch_threads
from tonearm.core.types import Prediction
from tonearm.datasets.manifest import Track
from tonearm.ensembles.bundle import Ensemble
from tonearm.inference.blocks import Block, BlockPredictor, plan_blocks, share_bundle
from tonearm.inference.identity import member_uris
from tonearm.inference.member import MemberPrediction, combine_members
from tonearm.pipelines.workers import WorkerStage, run_workers
from tonearm.workflows.ray_session import start_ray

NOT_LASTING = ("missing", "changed")  # reasons of files that may be back
SECONDS_FOR_RAY = 30.0  # of work on this process; less is done before workers have started


def predict_blocks(
    members: Sequence[str], tracks: Sequence[Track], device: str = "cpu", modules: Sequence[str] = (),
    seconds_for_ray: float = SECONDS_FOR_RAY,
) -> list[list[MemberPrediction]]:  # fmt: skip
    """What networks predict of tracks, from their stored features; of tracks that lack them from their audio.

    Each block of tracks is written down when it is done: a job that was killed goes on behind them. The first one is
    predicted here; if the others would take long they go to as many workers as the cluster has cores. A GPU is used
    from this process.

    Parameters
    ----------
    members
        URIs of their bundles.
    tracks
        Any number.
    device
        ``"cpu"`` or ``"cuda"``.
    modules
        That bundles may have imported.
    seconds_for_ray
        Work that takes longer goes to Ray.

    Returns
    -------
    Of each member its predictions, in the order of the tracks.

    Raises
    ------
    ConfigError
        If there is no such device here.
    AudioError
        If a track has neither features nor usable audio, or its file holds something else now.
    StoreError
        If what was written down is damaged.
    """
    found = _answers(members, tracks, device, modules, seconds_for_ray)
    for own in found:
        for track, answer in zip(tracks, own, strict=True):
            if isinstance(answer, AudioError):
                raise AudioError(answer.reason, f"{track.track_id}: {answer.detail}")
    return [[answer for answer in own if not isinstance(answer, AudioError)] for own in found]


def predict_usable(
    folder: str, ensemble: Ensemble, tracks: Sequence[Track], device: str = "cpu", modules: Sequence[str] = ()
) -> tuple[dict[str, Prediction], dict[str, AudioError]]:
    """What a model predicts of the tracks that it can hear, by their ids, and why it cannot hear the others.

    Parameters
    ----------
    folder
        Of its bundle, which may lie on this machine only.
    ensemble
        The same, loaded.
    tracks, device, modules
        As :func:`predict_blocks` has them.
    """
    shared = shared_members(folder, ensemble)
    predicted, unusable = {}, {}
    for track, *own in zip(tracks, *_answers(shared, tracks, device, modules, SECONDS_FOR_RAY, True), strict=True):
        heard = [answer for answer in own if not isinstance(answer, AudioError)]
        if len(heard) == len(own):
            predicted[track.track_id] = combine_members(ensemble, heard)
        else:
            unusable[track.track_id] = next(answer for answer in own if isinstance(answer, AudioError))
    return predicted, unusable


def shared_members(folder: str, ensemble: Ensemble) -> list[str]:
    """URIs of a model's bundles, a network each, where workers of all machines read them; they are copied if need be.

    Parameters are as :func:`predict_usable` has them.
    """
    members = member_uris(folder, ensemble)
    return [m if m.startswith(f"{home.home()}/") else share_bundle(m, home.predictions_home()) for m in members]


def _answers(
    members: Sequence[str], tracks: Sequence[Track], device: str, modules: Sequence[str], seconds_for_ray: float,
    keep_unusable: bool = False,
) -> list[list[MemberPrediction | AudioError]]:  # fmt: skip
    """Of each member what it predicts of each track, or why it cannot."""
    require_device(device)
    plans = [plan_blocks(member, tracks, home.predictions_home()) for member in members]
    missing = [block for plan in plans for block in plan if not block.is_there()]
    if missing:
        _predict(missing, device, modules, seconds_for_ray, keep_unusable)
    found = {block: block.read() for plan in plans for block in plan}
    for block, answers in found.items():
        if any(isinstance(answer, AudioError) and answer.reason in NOT_LASTING for answer in answers):
            storage.remove(block.uri)
    return [[answer for block in plan for answer in found[block]] for plan in plans]


def _predict(
    missing: Sequence[Block], device: str, modules: Sequence[str], seconds_for_ray: float, keep_unusable: bool
) -> None:
    arguments: dict[str, Any] = {"features": home.features_home(), "cache": home.node_cache(), "device": device,
                 "allowed_modules": tuple(modules), "keep_unusable": keep_unusable}  # fmt: skip
    total = sum(len(block.tracks) for block in missing)
    what = "tracks" if len({block.member for block in missing}) == 1 else "tracks x networks"
    seconds = seconds_for_ray if not is_gpu(device) else float("inf")
    work_here_or_on_ray([block.to_item() for block in missing], BlockPredictor, arguments, what, total, seconds)


def work_here_or_on_ray(
    items: Sequence[dict[str, Any]], worker: type[Any], arguments: dict[str, Any], what: str, total: int,
    seconds_for_ray: float = SECONDS_FOR_RAY,
) -> None:  # fmt: skip
    """Give items to a worker in this process, with all cores; where they would take long, the others to workers on Ray.

    Parameters
    ----------
    items
        Flat dicts of small values, all with the same keys.
    worker
        A class whose ``__call__`` takes a dict of columns and gives the columns ``tracks`` and ``from_audio``: how many
        tracks an item has, and of how many the features were not stored.
    arguments
        Of its constructor.
    what, total
        What is counted, in the plural, and how many of it all items have.
    """
    from_audio, done = 0, 0
    with Progress(what, total, on_stderr=True) as progress:
        for row in _here(items, worker(**arguments), seconds_for_ray):
            done, from_audio = done + 1, from_audio + int(row["from_audio"])
            progress.add(int(row["tracks"]), "(features were not stored: audio is read)" if from_audio else "")
        if done < len(items):
            start_ray()
            for row in run_workers(items[done:], WorkerStage(worker, arguments, 1)):
                progress.add(int(row["tracks"]))


def _here(items: Sequence[dict[str, Any]], worker: Any, seconds: float) -> Iterator[dict[str, Any]]:
    """The results of items that are worked on in this process, until it is seen that the others would take longer."""
    with torch_threads(0):
        for i, item in enumerate(items, 1):
            begun = time.monotonic()
            yield {name: column[0] for name, column in worker({name: [value] for name, value in item.items()}).items()}
            left = (len(items) - i) * (time.monotonic() - begun)
            if left > seconds and (os.cpu_count() or 1) > 1:
                return

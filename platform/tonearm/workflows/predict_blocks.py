"""Predictions of many tracks by several networks: on Ray where that pays, with progress, and never made twice."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from typing import Any

from tonearm.core import home
from tonearm.core.precision import is_gpu, require_device
from tonearm.core.progress import Progress
from tonearm.core.threads import torch_threads
from tonearm.datasets.manifest import Track
from tonearm.inference.blocks import Block, BlockPredictor, plan_blocks
from tonearm.inference.member import MemberPrediction
from tonearm.pipelines.workers import WorkerStage, run_workers
from tonearm.workflows.ray_session import start_ray

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
    require_device(device)
    plans = [plan_blocks(member, tracks, home.predictions_home()) for member in members]
    missing = [block for plan in plans for block in plan if not block.is_there()]
    if missing:
        _predict(missing, device, modules, seconds_for_ray)
    return [[answer for block in plan for answer in block.read()] for plan in plans]


def _predict(missing: Sequence[Block], device: str, modules: Sequence[str], seconds_for_ray: float) -> None:
    arguments: dict[str, Any] = {"features": home.features_home(), "cache": home.node_cache(), "device": device,
                 "allowed_modules": tuple(modules)}  # fmt: skip
    total, from_audio = sum(len(block.tracks) for block in missing), 0
    what = "tracks" if len({block.member for block in missing}) == 1 else "tracks x networks"
    with Progress(what, total, on_stderr=True) as progress:
        here = _here(missing, BlockPredictor(**arguments), seconds_for_ray if not is_gpu(device) else float("inf"))
        done = 0
        for tracks, heard in here:
            done, from_audio = done + 1, from_audio + heard
            progress.add(tracks, "(features were not stored: audio is read)" if from_audio else "")
        if done < len(missing):
            start_ray()
            stage = WorkerStage(BlockPredictor, arguments, 1)
            for row in run_workers([block.to_item() for block in missing[done:]], stage):
                progress.add(int(row["tracks"]))


def _here(missing: Sequence[Block], predictor: BlockPredictor, seconds: float) -> Iterator[tuple[int, int]]:
    """Predict blocks in this process, with all cores, until it is seen that the others would take longer."""
    with torch_threads(0):
        for i, block in enumerate(missing, 1):
            begun = time.monotonic()
            yield predictor.predict(block.member, block.uri, [(t.content, t.source) for t in block.tracks])
            left = (len(missing) - i) * (time.monotonic() - begun)
            if left > seconds and (os.cpu_count() or 1) > 1:
                return

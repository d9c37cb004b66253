"""What Ray Tune runs in a worker: one trial, reported to Tune and to MLflow epoch by epoch."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from tonearm.core.log_lines import log_in_worker
from tonearm.core.threads import keep_large_memory, limit_threads

logger = logging.getLogger(__name__)

FAILED = "failed"
"""In what is reported to Tune: the error of a trial that cannot go on, and would fail again in the same way."""


def train(tune_config: dict[str, Any]) -> None:
    """Run one trial.

    Parameters
    ----------
    tune_config
        Its ``"job"`` has ``config`` (a TrialConfig as a dict), ``folder``, ``manifest``, ``features``, ``cache``
        (URIs), ``until`` (the epoch at whose end it is paused, or its last one), ``experiment``, ``name``, ``parent``
        (run id of the sweep), ``tags``, ``tuned`` (metrics), ``cpus`` and ``gpus`` of it, ``modules``, which register
        what the config names, and ``places``, the driver's as environment variables.
    """
    job = tune_config["job"]
    os.environ.update(job["places"])  # this process works in a folder of its own, where relative ones are others
    log_in_worker(trial=job["folder"].rstrip("/").rpartition("/")[2])
    threads = max(1, int(job["cpus"]))
    limit_threads(threads)
    keep_large_memory()
    # Imported here, in the worker and after the limit, which numerical libraries read once.
    import torch
    from ray import tune

    torch.set_num_threads(threads)
    try:
        _train(job)
    except Exception as error:
        # A process that dies is started again by Tune; an error of ours would only occur again.
        logger.exception("the trial failed")
        tune.report({FAILED: f"{type(error).__name__}: {error}"})


def _train(job: dict[str, Any]) -> None:
    from ray import tune

    from tonearm.core.errors import TrainingError
    from tonearm.core.plugins import import_modules
    from tonearm.datasets.manifest import load_manifest
    from tonearm.sweeps.results import metrics_to_log
    from tonearm.sweeps.trial_runs import TrialRun
    from tonearm.tracking import names
    from tonearm.tracking.buffer import BufferedRun
    from tonearm.tracking.environment import machine_tags
    from tonearm.tracking.ray_metrics import export_metrics
    from tonearm.training.config import TrialConfig
    from tonearm.training.examples import make_examples
    from tonearm.training.sharing import device_with
    from tonearm.training.trained_code import note_machine
    from tonearm.training.trial import TrialFolder, run_trial

    export_metrics()
    import_modules(job["modules"])
    config = TrialConfig.from_dict(job["config"])
    folder = TrialFolder(job["folder"])
    run: BufferedRun | None = None

    def begin(history: Sequence[Mapping[str, Any]]) -> None:
        """Nobody else trains it now: what its run has must be of this training."""
        nonlocal run
        identity = job["experiment"], job["name"], job["parent"], config.flatten(), job["tags"]
        run = BufferedRun(*identity, open_run=TrialRun(folder, config, history, is_all=True).open)
        run.metrics(job["tuned"])

    try:
        manifest = load_manifest(job["manifest"])
        if manifest.signature() != config.dataset.data_signature:
            raise TrainingError(
                f"{job['manifest']} holds data {manifest.signature()}, the trial was planned for "
                f"{config.dataset.data_signature}: delete the sweep's folder and begin it anew"
            )
        examples = make_examples(config, manifest, job["features"], job["cache"])
        # Closed in any case: whoever else wants the trial waits until it is free.
        reported, metrics = True, dict[str, Any]()
        with closing(run_trial(config, examples, folder, device_with(job["gpus"]), True, begin)) as epochs:
            for metrics in epochs:
                reported = not metrics["replayed"]
                if run and reported:
                    note_machine(folder, machine_tags())
                    run.metrics(metrics_to_log(config, metrics), metrics["epoch"])
                    tune.report(metrics)
                    logger.info("epoch %d: best %s", metrics["epoch"], metrics["best"])
                if job["until"] <= metrics["epoch"] < config.optim.max_epochs:
                    break  # paused: its state is on disk, and the driver decides whether it goes on
            if run:
                run.tag(names.CODE, " ".join(folder.code()))
            if not reported:  # of a trial without any report Ray prints a line of its own
                tune.report(metrics)
    finally:
        if run:
            run.close()

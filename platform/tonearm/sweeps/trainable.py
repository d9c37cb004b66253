"""What Ray Tune runs in a worker: one trial, reported to Tune and to MLflow epoch by epoch."""

from __future__ import annotations

from typing import Any

from tonearm.core.threads import keep_large_memory, limit_threads


def train(tune_config: dict[str, Any]) -> None:
    """Run one trial.

    Parameters
    ----------
    tune_config
        Its ``"job"`` has ``config`` (a TrialConfig as a dict), ``folder``, ``manifest``, ``features``, ``cache``
        (URIs), ``experiment``, ``name``, ``parent`` (run id of the sweep) and ``tags``.
    """
    limit_threads(1)
    keep_large_memory()
    # Imported here, in the worker and after the limit, which numerical libraries read once.
    import torch
    from ray import tune

    from tonearm.datasets.manifest import load_manifest
    from tonearm.tracking.log import RunWriter
    from tonearm.training.config import TrialConfig
    from tonearm.training.examples import make_examples, usable
    from tonearm.training.trial import TrialFolder, run_trial

    torch.set_num_threads(1)
    job = tune_config["job"]
    config = TrialConfig.from_dict(job["config"])
    manifest = usable(config.task, config.feature, load_manifest(job["manifest"]))
    examples = make_examples(config, manifest, job["features"], job["cache"])
    run = RunWriter.open(job["experiment"], job["name"], job["parent"], config.flatten(), job["tags"])
    for metrics in run_trial(config, examples, TrialFolder(job["folder"])):
        if not metrics["replayed"]:
            run.metrics({k: v for k, v in metrics.items() if k not in ("epoch", "replayed")}, metrics["epoch"])
        tune.report(dict(metrics))

"""What Ray Tune runs in a worker: one trial, reported to Tune and to MLflow epoch by epoch."""

from __future__ import annotations

from typing import Any

from tonearm.core.threads import limit_threads


def train(tune_config: dict[str, Any]) -> None:
    """Run one trial.

    Parameters
    ----------
    tune_config
        Its ``"job"`` has ``config`` (a TrialConfig as a dict), ``folder``, ``manifest``, ``store``, ``cache`` (URIs),
        ``experiment``, ``name``, ``parent`` (run id of the sweep), ``tags`` and ``classes``.
    """
    limit_threads(1)
    # Imported here, in the worker and after the limit, which numerical libraries read once.
    import torch
    from ray import tune

    from tonearm.datasets.manifest import load_manifest
    from tonearm.features.store import FeatureStore, copy_to_node
    from tonearm.tracking.log import RunWriter
    from tonearm.training.batches import Batches
    from tonearm.training.config import TrialConfig
    from tonearm.training.trial import TrialFolder, run_trial

    torch.set_num_threads(1)
    job = tune_config["job"]
    config = TrialConfig.from_dict(job["config"])
    store = FeatureStore(copy_to_node(job["store"], job["cache"]))
    batches = Batches(config, load_manifest(job["manifest"]).tracks, job["classes"], store)
    run = RunWriter.open(job["experiment"], job["name"], job["parent"], config.flatten(), job["tags"])
    for metrics in run_trial(config, batches, TrialFolder(job["folder"])):
        if not metrics["replayed"]:
            run.metrics({k: v for k, v in metrics.items() if k not in ("epoch", "replayed")}, metrics["epoch"])
        tune.report(dict(metrics))

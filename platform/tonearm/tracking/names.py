"""The names that people meet in MLflow."""

from __future__ import annotations

import os
from collections.abc import Mapping

PARENT_RUN = "mlflow.parentRunId"  # MLflow's own tag: the UI nests runs by it

NOTE, SOURCE = "mlflow.note.content", "mlflow.source.name"  # its columns Description and Source
USER, VERSION = "mlflow.user", "mlflow.source.git.commit"  # its columns User and Version
CONTEXT = "mlflow.data.context"  # what it shows beside a data set

# Metrics. Those of single epochs are curves; without this before its name, a metric is of the epoch that was kept.
EPOCH = "epoch/"
TUNED = "tuned."  # before the short name of a field that a sweep varies: numbers that sort, as parameters do not

# What was run.
DATASET = "tonearm.dataset"  # of an experiment
VIEW = "tonearm.view"  # of an experiment: the key of the view that it is shown in
SWEEP = "tonearm.sweep"
TRAINING = "tonearm.training"  # of a recipe's run that holds the others: recipe-signature
SPACE = "tonearm.space"
TRIAL = "tonearm.trial"
ENSEMBLE = "tonearm.ensemble"  # of an ensemble's run its name; of a sweep's run the one that counts
DATA = "tonearm.data_signature"
FEATURE = "tonearm.feature_signature"
CONFIG = "tonearm.config_signature"
CONFIGURATION = "tonearm.configuration"  # the config's signature with seed 0: runs of one differ by seed and fold only
SEED = "tonearm.seed"
FOLD = "tonearm.fold"
FOLDER = "tonearm.folder"
PARAMETERS = "tonearm.parameters"

# By what it was run.
PIPELINE = "tonearm.pipeline"  # run id of the pipeline whose step last worked on it, a slash, the step's number
COMMIT = "tonearm.commit"
CODE = "tonearm.code"  # digest of the modules that decide results
CLEAN = "tonearm.clean"  # whether the tree held nothing but the commit: true, false or unknown
ENVIRONMENT = "tonearm.environment"  # digest of the artifact environment.txt of the parent run
CPU = "tonearm.cpu"
CORES = "tonearm.cores"
MEMORY = "tonearm.memory_gib"
GPU = "tonearm.gpu"
THREADS = "tonearm.torch_threads"

# The registry.
CANDIDATE = "candidate"
CHAMPION = "champion"
CHALLENGER = "challenger"  # compared with the champion by who listens
METRIC = "tonearm.metric"  # the metric that a version was chosen by; its scores on validation and test are tags, too
VALIDATION = "tonearm.validation"
TEST = "tonearm.test"
PROMOTED_AT = "tonearm.promoted_at"
ROLLED_BACK = "tonearm.rolled_back"  # of a version: when; only who asks for it makes it the champion again
PROMOTION = "tonearm.promotion"  # why a version became the champion, or did not; its figures begin so, too
CHOICE = "tonearm.choice"  # why a version is an ensemble, or one trial alone
COMBINATION = "tonearm.combination"  # how a version's networks answer together
CHAMPIONS = "tonearm.champions"  # of a registered model: the versions that were champion, the present one last
HELD_OUT = "heldout/test_"  # before a metric of the test split, which only a selection or a comparison asks for


def model_name(dataset: str) -> str:
    """The registered model of a data set, so that a second one does not replace the first one's champion."""
    return f"tonearm-{dataset}"


STEP_VARIABLE = "TONEARM_PIPELINE_STEP"  # by which a pipeline tells its steps which ones they are


def step_tags(parent: str | None) -> dict[str, str]:
    """What a run at the top says of the pipeline's step that works on it; nothing outside a pipeline."""
    step = os.environ.get(STEP_VARIABLE, "")
    return {PIPELINE: step} if step and parent is None else {}


def trial_folder(index: int, signature: str) -> str:
    """Name of a trial's folder in its sweep's, where earlier versions put it: its index and its config's signature."""
    return f"{index:02d}-{signature}"


def lasting_name(tags: Mapping[str, str]) -> str:
    """What commands take a run by, whatever its name in MLflow's pages: ``demo-3f2a...`` of a sweep,
    ``time_mel-0548...`` of a training, its folder's name of a trial; "" if its tags do not say."""
    if signature := tags.get(SWEEP):
        return f"{tags.get(SPACE, '')}-{signature}"
    return tags.get(TRAINING) or tags.get(FOLDER, "").rstrip("/").rpartition("/")[2]

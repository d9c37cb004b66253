"""Which run and which experiment are meant: found by their tags, since people rename both in MLflow's pages."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tonearm.core import home, storage
from tonearm.tracking import names

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

logger = logging.getLogger(__name__)

SERVERS = ("http://", "https://", "databricks", "uc:")  # they alone know where artifacts go
IDENTITIES = (
    (names.SWEEP,), (names.TRAINING,), (names.CONFIG, names.TRIAL), (names.CONFIG,), (names.FOLD, names.SEED),
)  # fmt: skip
"""Tags that say which run it is among those of one parent; the first of these sets that a run has all of. A run may
have those of later sets, too, which are then not what it is found by: a mean bears its config, seed and fold."""
KEYS = {key for keys in IDENTITIES for key in keys}
NAMESAKES = 100  # runs of one name that are looked through


def identity(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags among a run's by which it is found again; none of a run that only has a name."""
    found = ({key: tags[key] for key in keys} for keys in IDENTITIES if all(tags.get(key) for key in keys))
    return next(found, {})


def find_run(
    api: MlflowClient, experiment: str, name: str, parent: str | None, tags: Mapping[str, str], former_name: str = "",
    only_of_folder: bool = False,
) -> Run | None:  # fmt: skip
    """The run with the identity of these tags below a parent; None if there is none. Of several the first started, of
    homes that share a tracking server the one of the same folder.

    Databases of earlier versions hold runs without such tags: those are found by their names.

    Parameters
    ----------
    experiment
        Its id.
    former_name
        What earlier versions called the run.
    only_of_folder
        Whether one of another folder, or of none, is not meant.
    """
    own = identity(tags)
    below = f"tags.`{names.PARENT_RUN}` = '{parent}'" if parent else f"tags.`{names.PARENT_RUN}` IS NULL"

    def search(*conditions: str) -> list[Run]:
        condition = " and ".join([*conditions, below])
        order = ["attributes.start_time ASC"]
        return list(api.search_runs([experiment], condition, max_results=NAMESAKES, order_by=order))

    if own:
        conditions = [f"tags.`{key}` = {quoted(value)}" for key, value in own.items()]
        folder = tags.get(names.FOLDER)
        here = [f"tags.`{names.FOLDER}` = {quoted(folder)}"] if folder else []
        for narrowed in ([[*conditions, *here]] if here else []) + ([] if only_of_folder else [conditions]):
            for run in search(*narrowed):
                if identity(run.data.tags) == own:
                    return run
    if only_of_folder:
        return None
    for known_as in dict.fromkeys(text for text in (name, former_name) if text):
        for run in search(f"attributes.run_name = {quoted(known_as)}"):
            if not identity(run.data.tags):
                return run
    return None


def quoted(text: str) -> str:
    """A text as MLflow's searches take it; they know no way to write one that holds both kinds of quotes."""
    return f'"{text}"' if "'" in text else f"'{text}'"


def find_experiment(api: MlflowClient, dataset: str) -> Experiment | None:
    """The experiment of a data set: the one that bears its tag, else the one of its name; a deleted one if no other."""
    from mlflow.entities import ViewType

    condition = f"tags.`{names.DATASET}` = {quoted(dataset)}"
    tagged = api.search_experiments(ViewType.ALL, filter_string=condition)
    found = next((e for e in tagged if e.lifecycle_stage == "active"), None)
    if found is not None:
        return found
    named = api.get_experiment_by_name(dataset)
    if named is not None and named.tags.get(names.DATASET, dataset) == dataset:
        return named
    return next(iter(tagged), None)


def open_experiment(api: MlflowClient, dataset: str) -> str:
    """The id of a data set's experiment, which is made if it is not there, and restored if somebody deleted it."""
    from mlflow.exceptions import MlflowException

    found = find_experiment(api, dataset)
    if found is None:
        artifacts = storage.join(home.artifacts_home(), dataset)
        place = None if home.tracking_uri().startswith(SERVERS) else storage.file_uri(artifacts)
        try:
            return str(api.create_experiment(dataset, artifact_location=place, tags={names.DATASET: dataset}))
        except MlflowException:
            found = find_experiment(api, dataset)  # another process made it first
            if found is None:
                raise
    number = str(found.experiment_id)
    if found.lifecycle_stage != "active":
        try:
            api.restore_experiment(number)
            logger.warning(
                f"  note: the experiment {found.name!r} had been deleted in MLflow; it was restored with its runs, and "
                "is gone on with"
            )
        except MlflowException:
            found = find_experiment(api, dataset)
            if found is None or found.lifecycle_stage != "active":  # else another process restored it first
                raise
    if names.DATASET not in found.tags:
        api.set_experiment_tag(number, names.DATASET, dataset)
    return number

"""Whether a demo is finished: what it was asked for, what it was made of, and all that it left are as they were.

Only files are looked at, and who the champion is: nothing here loads torch or starts Ray, so that a second demo answers
within seconds. Whatever is touched, even if it is the same, makes the demo go its whole way, where each step sees what
it has done before.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from tonearm.core import home, storage
from tonearm.core.folder_walk import FolderWalk
from tonearm.core.seeding import digest
from tonearm.tracking import names
from tonearm.tracking.query import registered
from tonearm.tracking.retry import retry
from tonearm.workflows.defaults import MAX_REJECTED

CODE = ("tonearm", "search_spaces", "serve")  # packages whose sources a demo's figures hang on
NOT_CODE = {".pyc", ".pyo"}
DEPENDENCIES = (
    "faiss-cpu", "implicit", "librosa", "mutagen", "numba", "numpy", "optuna", "pandas", "pyarrow", "ray",
    "scikit-learn", "scipy", "soundfile", "soxr", "torch", "torchaudio",
)  # fmt: skip
"""Whose versions decide results."""
PASSING = ("ray", "driver.json")  # at the top of a sweep's folder: Ray's own files, and who drives it
SCORES = "scores"
ENCODERS = "weights"  # the folder of the home, as features.weight_files has it, which is not imported here


@dataclass(frozen=True)
class DemoRequest:
    """What is asked for.

    Attributes
    ----------
    audio
        Folder with recordings; "" to render scores.
    label
        ``folder``, ``artist``, ``album``, ``genre`` or a column of ``tracks.csv``.
    name
        What to call the data set; "" for the folder's name.
    space
        Name of the search space.
    trials, epochs
        0: as the space says.
    seed
        Of the splits.
    max_rejected
        The largest share of recordings that may be unusable.
    options
        Other fields of the data set.
    """

    audio: str = ""
    label: str = "folder"
    name: str = ""
    space: str = "demo"
    trials: int = 0
    epochs: int = 0
    seed: int = 0
    max_rejected: float = MAX_REJECTED
    options: Mapping[str, object] = field(default_factory=dict)

    @property
    def recordings(self) -> str:
        """The folder that they lie in, absolute."""
        place = self.audio or storage.join(home.data_home(SCORES), "audio")
        return str(storage.local_path(place).absolute()) if storage.is_local(place) else place

    def record_uri(self) -> str:
        """Where the end of this demo is written down: for the same options, code, home, encoders in it and tracking
        server."""
        encoders = storage.list_files(storage.join(home.home(), ENCODERS), ".json")  # one more may be listened with
        options = {**asdict(self), "audio": self.recordings, **({"encoders": encoders} if encoders else {})}
        return storage.join(home.home(), "demos", f"{digest(options, home.tracking_uri(), code_signature())}.json")


def finished_demo(request: DemoRequest) -> str | None:
    """The summary of a demo that is finished, if nothing has changed since; None otherwise.

    Raises
    ------
    TrackingError
        If MLflow does not answer.
    """
    uri = request.record_uri()
    if not storage.exists(uri):
        return None
    record = storage.read_json(uri)
    files: dict[str, str] = record["files"]
    if any(storage.stamp(file) != stamp for file, stamp in files.items()):
        return None
    if stamps_of_recordings(request.recordings).keys() - files.keys():
        return None  # a recording came
    champion = retry(registered, record["dataset"], names.CHAMPION, seconds=60.0)
    if champion is None or champion.version != record["champion"]:
        return None
    return str(record["summary"])


def record_demo(
    request: DemoRequest, summary: str, dataset: str, folders: Sequence[str], sweep: str = "", own: bool = False
) -> None:
    """Write down that a demo is finished.

    Parameters
    ----------
    folders
        All that it left: where anything changes there, it is not finished any more. Those elsewhere than on local disks
        cannot be watched, so a demo with one is never said to be finished.
    sweep
        The one of them that is a sweep's, some files of which change whenever it is looked at.
    own
        Whether the space is made of code outside Tonearm, whose sources are not watched: it is never said to be
        finished.
    """
    champion = retry(registered, dataset, names.CHAMPION)
    if own or champion is None or not all(storage.is_local(f) for f in (request.recordings, *folders)):
        return
    files = stamps_of_recordings(request.recordings) | stamps_of(folders, sweep)
    record = {"summary": summary, "dataset": dataset, "champion": champion.version, "files": files}
    storage.write_json(request.record_uri(), record)


def stamps_of(folders: Sequence[str], sweep: str = "") -> dict[str, str]:
    """Size and time of every file below local folders; at the top of ``sweep`` without those that change whenever it is
    looked at."""
    found = {}
    for folder in folders:
        root = storage.local_path(folder) if storage.is_local(folder) else None
        for base, below, files in os.walk(root) if root is not None else ():
            top = folder == sweep and Path(base) == root
            below[:] = [name for name in below if not (top and name in PASSING)]
            for name in files:
                if not (top and (name in PASSING or name.endswith(".tmp"))):
                    path = str(Path(base, name))
                    found[path] = storage.stamp(path)
    return found


def stamps_of_recordings(folder: str) -> dict[str, str]:
    """Size and time of every file below a local folder of recordings, found as its data set finds them."""
    root = storage.local_path(folder) if storage.is_local(folder) else None
    if root is None or not root.is_dir():
        return {}
    paths = (base / name for base, names in FolderWalk(root) for name in names)
    return {str(path): storage.stamp(str(path)) for path in paths}


def code_signature() -> str:
    """Digest of all files of :data:`CODE`, tables and pages too, and of the versions of :data:`DEPENDENCIES`, as far as
    these packages are there."""
    parts: list[str | bytes] = [f"{name} {_version(name)}" for name in DEPENDENCIES]
    for package in CODE:
        spec = find_spec(package)
        for place in sorted(spec.submodule_search_locations or ()) if spec else ():
            root = Path(place)
            for path in sorted(root.rglob("*")):
                if "__pycache__" not in path.parts and path.suffix not in NOT_CODE and path.is_file():
                    parts += [f"{package}/{path.relative_to(root)}", path.read_bytes()]
    return digest(*parts)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"

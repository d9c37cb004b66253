"""Classifying audio files with a model: what each recording is, and which files are no usable audio."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tonearm.core import storage
from tonearm.core.errors import AudioError, ConfigError, TonearmError
from tonearm.core.remote_path import is_remote_folder
from tonearm.core.text import printable
from tonearm.tracking import names
from tonearm.tracking.query import last_promoted

if TYPE_CHECKING:
    from tonearm.tasks.answers import Answer

LIST = ".txt"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClassifiedFiles:
    """What a model answers of files, and the reason why a file was not classified.

    Parameters
    ----------
    model
        What classified them: a folder, a URI or ``models:/NAME@ALIAS``.
    answers
        Of each file, in the form of the model's task.
    why
        Of each file a sentence on what speaks for its answer, where the model can say it.
    doubted
        Files that sound like nothing that the model has learned from.
    unusable
        Of each file that is no usable audio, or at which the work failed, the reason.
    notes
        What lies in folders and was not looked at: kinds that are not read, hidden folders, unreadable ones.
    """

    model: str
    answers: dict[str, Answer] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    doubted: list[str] = field(default_factory=list)
    unusable: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def rows(self, file: str, most: int) -> list[tuple[str, int, str, str]]:
        """File, rank, name and number of its answer, as :meth:`Answer.rows` has them; of a file without one none."""
        found = self.answers[file].rows(most) if file in self.answers else []
        return [(file, i, name, f"{number:.6g}") for i, (name, number) in enumerate(found, 1)]

    def reasons(self) -> list[str]:
        """Lines on what speaks for the answer, of a single file: of many it would be a page; and on which to doubt."""
        why = [f"why: {printable(why)}" for why in self.why.values() if why] if len(self.why) == 1 else []
        return [*why, *(f"doubtful, it sounds like nothing that was learned: {printable(f)}" for f in self.doubted)]

    def messages(self) -> Iterator[str]:
        """Lines on what was not classified, and how much that is."""
        yield from (f"not classified: {printable(file)}: {printable(why)}" for file, why in self.unusable.items())
        yield from (f"note: {printable(note)}" for note in self.notes)
        if self.unusable:
            reasons = Counter(reason.partition(":")[0] for reason in self.unusable.values())
            counts = ", ".join(f"{reason} {n}" for reason, n in reasons.most_common())
            yield f"set aside: {len(self.unusable)} of {len(self.unusable) + len(self.answers)} ({counts})"


def default_model() -> str:
    """``models:/$TONEARM_MODEL@champion``, by default of the model that was promoted last."""
    return f"models:/{os.environ.get('TONEARM_MODEL') or last_promoted()}@{names.CHAMPION}"


def require_files(files: Sequence[str]) -> None:
    """Check, without a model, that files and folders are there.

    Raises
    ------
    ConfigError
        If a local one is not.
    """
    absent = [f for f in files if storage.is_local(f) and not storage.local_path(f).exists()]
    if absent:
        raise ConfigError(f"{', '.join(absent)}: no such file; give audio files, as in ~/Music/*.mp3, or their folder")


def require_model(model: str) -> None:
    """Check, without loading it, that a model's local folder is there.

    Raises
    ------
    ConfigError
        If it is not.
    """
    if model and storage.is_local(model) and not model.startswith("models:/") and not storage.exists(model):
        raise ConfigError(f"model {model}: no such folder; give one, a URI or models:/NAME@champion")


def classify(
    files: Sequence[str],
    *,
    model: str = "",
    heard: Callable[[ClassifiedFiles, str, int], None] = lambda result, file, total: None,
) -> ClassifiedFiles:
    """Classify audio files.

    Parameters
    ----------
    files
        Paths or URIs; of a folder all recordings in it are classified, to any depth, as a data set has them; of a
        ``.txt`` file the paths, folders and URIs that it names, one a line.
    model
        A folder, a URI or ``models:/NAME@ALIAS``; by default the model that was promoted last.
    heard
        Called after each file with the answers so far, the file and how many files there are: what is known is then
        not lost with work that is broken off.

    Raises
    ------
    ConfigError
        If a file is not there, or the folder of the model.
    DatasetError
        If a folder holds no recordings.
    BundleError, TrackingError
        If the model cannot be loaded.
    """
    require_files(files)
    require_model(model)
    from tonearm.inference import load  # brings torch: wrong names are told before

    chosen, unusable, notes = expand_files(files)
    result = ClassifiedFiles(model or default_model(), unusable=unusable, notes=tuple(notes))
    classifier = load(result.model)
    for file in chosen:
        try:
            found = classifier.classify(file)
            result.answers[file], result.why[file] = found.answer, found.why
            if found.doubt:
                result.doubted.append(file)
        except AudioError as error:
            result.unusable[file] = str(error)
        except TonearmError:
            raise  # of the model: no file could be classified
        except Exception as error:  # one odd file must not cost the answers of the others
            logger.debug("%s could not be classified", file, exc_info=True)
            result.unusable[file] = f"{type(error).__name__}: {error}"
        heard(result, file, len(chosen))
    return result


def expand_files(files: Sequence[str]) -> tuple[list[str], dict[str, str], list[str]]:
    """The files, those of folders and lists in their place; files whose name is no text, with the reason; and notes.

    Raises
    ------
    ConfigError
        If a list names nothing.
    DatasetError
        If a folder holds no recordings.
    """
    found, unusable, notes = list[str](), dict[str, str](), list[str]()
    for file in (f for given in files for f in (_listed(given) if given.lower().endswith(LIST) else [given])):
        if not _is_folder(file):
            found.append(file)
            continue
        from tonearm.datasets.find_files import find_recordings  # brings NumPy: wrong names are told before

        below = find_recordings(file)
        found += [str(path) for path in below.files.values()]
        unusable |= {f"{file}/{r.source}": f"{r.reason}: {r.detail}" for r in below.rejects}
        notes += [f"{file}: {note}" for note in below.notes]
    return list(dict.fromkeys(found)), unusable, notes


def _is_folder(file: str) -> bool:
    """Whether a path or URI is a folder's; of one elsewhere that is called like a recording nobody is asked."""
    if storage.is_local(file):
        return storage.local_path(file).is_dir()
    from tonearm.audio.decode import AUDIO_SUFFIXES  # brings NumPy: wrong names are told before

    return not file.lower().endswith(AUDIO_SUFFIXES) and is_remote_folder(file)


def _listed(uri: str) -> list[str]:
    """The paths and URIs of a text file, one a line; relative ones are so to the current folder."""
    from tonearm.datasets.csv_text import BYTE_ORDER_MARKS

    data = storage.read_bytes(uri)
    marked = next((encoding for mark, encoding in BYTE_ORDER_MARKS if data.startswith(mark)), "")
    # Without a mark they are the bytes that a file system has, whatever their encoding.
    text = data.decode(marked, "replace") if marked else os.fsdecode(data)
    lines = [line.rstrip("\r") for line in text.split("\n") if line.strip()]
    if not lines or "\0" in text:
        raise ConfigError(f"{uri} names no file: give a text with one path or URI a line")
    return [os.path.expanduser(line) if storage.is_local(line) else line for line in lines]  # noqa: PTH111  as typed

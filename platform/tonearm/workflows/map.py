"""A catalogue's map: a page to look at and a table of coordinates, in the home's reports and in MLflow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tonearm.core import home, storage
from tonearm.core.errors import ConfigError
from tonearm.workflows.answer_table import Columns, write_table
from tonearm.workflows.classify import default_model, require_model

if TYPE_CHECKING:
    from tonearm.inference.model import Model
    from tonearm.recommend.library import Library
    from tonearm.recommend.map import LibraryMap

PAGE, TABLE = "map.html", "map.csv"
FOLDER = "map"
REGISTERED = "models:/"


@dataclass(frozen=True)
class MappedLibrary:
    """What came of a job.

    Attributes
    ----------
    page, table
        Where they lie.
    summary
        Sentences on what was mapped, and how faithful the map is.
    made
        The coordinates.
    run
        Run in MLflow that has both files; "" of a model that is not registered.
    """

    page: str
    table: str
    summary: tuple[str, ...]
    made: LibraryMap
    run: str = ""

    def __str__(self) -> str:
        kept = [f"in MLflow: run {self.run}, {FOLDER}/"] if self.run else []
        return "\n".join([*self.summary, f"page: {self.page}", f"coordinates: {self.table}", *kept])


def map_catalogue(model: str = "", *, name: str = "", out: str = "") -> MappedLibrary:
    """Place a catalogue of a model in two dimensions: ``map.html``, which needs nothing beside it, and ``map.csv``.

    Parameters
    ----------
    model
        A folder, a URI or ``models:/NAME@ALIAS``; by default the model that was promoted last.
    name
        Of a catalogue that ``tonearm index`` made for it; by default the one that it recommends from.
    out
        Folder or URI; "": a folder of the model's in the catalogue's reports.

    Raises
    ------
    ConfigError
        If there is no such model, or it has no catalogue of that name.
    BundleError, TrackingError
        If the model or the catalogue cannot be loaded, or it has none.
    """
    require_model(model)
    from tonearm.inference import load
    from tonearm.recommend.library import ID
    from tonearm.recommend.map import map_library
    from tonearm.recommend.map_page import known_texts, known_titles, known_years, map_page
    from tonearm.tracking.model_files import pinned_uri

    loaded = load(pinned_uri(model or default_model()))
    library, called = _chosen(loaded, name)
    made = map_library(library)
    summary = tuple(_sentences(made, called, loaded.uri))
    columns: Columns = {
        ID: known_texts(library, ID), "x": [f"{x:.5f}" for x in made.coordinates[:, 0]],
        "y": [f"{y:.5f}" for y in made.coordinates[:, 1]], "title": known_titles(library),
        **{field: known_texts(library, field) for field in ("artist", "label", "place")},
        "year": known_years(library),
    }  # fmt: skip
    folder = home.absolute(out) if out else storage.join(home.reports_home(called), f"{FOLDER}-{loaded.digest}")
    page, table = storage.join(folder, PAGE), storage.join(folder, TABLE)
    storage.write_bytes(page, map_page(library, made.coordinates, f"Map of {called}", summary).encode())
    write_table(table, [columns])
    return MappedLibrary(page, table, summary, made, _log(loaded.uri, page, table))


def _chosen(model: Model, name: str) -> tuple[Library, str]:
    """The catalogue that is meant, and what it is called."""
    from tonearm.inference.made_catalogues import made_catalogues
    from tonearm.recommend.catalogue import Catalogue

    if not name:
        library = model.library
        if isinstance(library, Catalogue):
            return library, library.uri.rpartition("/")[2]
        return library, model.ensemble.members[0].config.dataset.name
    made = {uri.rpartition("/")[2]: uri for uri in made_catalogues(model.digest)}
    if name not in made:
        raise ConfigError(f"the model {model.uri} has no catalogue {name!r}: it has {', '.join(made) or 'none'}; "
                          "tonearm index --name makes one")  # fmt: skip
    return Catalogue.open(made[name], model.digest), name


def _sentences(made: LibraryMap, called: str, model: str) -> list[str]:
    from tonearm.recommend.map import NEIGHBOURS

    rows, told = len(made.coordinates), made.faithfulness
    sentences = [f"{called}: {rows} rows as {model} hears them. Near each other is what sounds alike to it; how far "
                 "apart groups lie, and how large they are, says little."]  # fmt: skip
    if told is None:
        sentences.append(f"{made.different} different vectors are too few to tell how faithful the map is.")
    else:
        sentences.append(f"Trustworthiness {told.trustworthiness:.3f}, of coordinates at random {told.chance:.3f}: 1 "
                         f"if the {NEIGHBOURS} nearest on the map are the nearest to the model, too; among "
                         f"{told.rows} rows.")  # fmt: skip
    if made.fitted < made.different:
        sentences.append(f"t-SNE placed {made.fitted} different vectors, a sample; {made.different - made.fitted} "
                         "others lie amid the nearest of these.")  # fmt: skip
    if made.different < rows:
        sentences.append(f"{rows - made.different} rows lie at the place of another, whose vector they share.")
    return sentences


def _log(model: str, *files: str) -> str:
    """Keep files with the run of a registered model; its id."""
    if not model.startswith(REGISTERED):
        return ""
    from tonearm.tracking.log import RunWriter
    from tonearm.tracking.model_files import run_of
    from tonearm.tracking.retry import retry

    run = run_of(model)
    for file in files if run else ():
        retry(RunWriter(run).file, file, FOLDER)
    return run

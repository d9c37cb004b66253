"""How good a model's neighbours are, beside chance."""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from tonearm.core.best_effort import best_effort
from tonearm.core.errors import BundleError, ConfigError
from tonearm.core.plugins import modules_of
from tonearm.core.text import command, format_table
from tonearm.core.types import FloatArray
from tonearm.datasets.manifest import Manifest, load_manifest
from tonearm.features.descriptors import DESCRIPTORS
from tonearm.inference import load
from tonearm.inference.model import Model
from tonearm.recommend import CatalogueIndex
from tonearm.recommend.contest import Contest, hold_contest
from tonearm.recommend.evaluate import HitRate, hit_rate
from tonearm.recommend.memory import MemoryLibrary
from tonearm.tracking import names
from tonearm.tracking.log import RunWriter
from tonearm.tracking.model_files import pinned_uri
from tonearm.tracking.query import champion_uri, registered
from tonearm.tracking.retry import retry
from tonearm.workflows.known_plays import played_rows
from tonearm.workflows.predict_blocks import predict_usable
from tonearm.workflows.prepared import PreparedData
from tonearm.workflows.prepared_names import manifest_uri, prepared_name
from tonearm.workflows.recommend_page import publish_contest
from tonearm.workflows.registered_catalogue import registered_catalogue

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

K = 5


@dataclass(frozen=True)
class NeighbourQuality:
    """Hit rates of the test tracks among all others.

    Attributes
    ----------
    rates
        By what the neighbours must share with the query: the label, and the artist where a label has several.
    tracks
        In the catalogue.
    """

    rates: dict[str, HitRate]
    tracks: int

    @property
    def table(self) -> pd.DataFrame:
        """A row a field that neighbours share, with the rates of neighbours drawn at random beside."""
        import pandas as pd

        return pd.DataFrame.from_dict({field: asdict(rate) for field, rate in self.rates.items()}, orient="index")

    def __str__(self) -> str:
        rows = [("neighbours share their", "queries", f"any of {K}", "chance", f"share of {K}", "chance")]
        for field, r in self.rates.items():
            rows.append((field, str(r.queries), f"{r.at_least_one:.3f}", f"{r.chance_at_least_one:.3f}",
                         f"{r.precision:.3f}", f"{r.chance_precision:.3f}"))  # fmt: skip
        head = f"  catalogue of {self.tracks} tracks, queries from the test split, a query is not its own neighbour:"
        return f"{head}\n{format_table(rows)}"

    def __repr__(self) -> str:
        return str(self)


def evaluate_recommender(
    data: Manifest | PreparedData | str, model: str = "", *, save: bool = False
) -> NeighbourQuality:
    """Hit rates at 5 of the test tracks among all others: by label, and by artist where a label has several.

    Parameters
    ----------
    data
        A prepared data set, its manifest, or its name.
    model
        Folder, URI or ``models:/NAME@ALIAS`` of a model; "" for the data set's champion. One without a catalogue, as
        training leaves it, or with one of other tracks gets one of the data set's tracks.
    save
        Whether to keep that catalogue with the model, so that it is served with it.

    Raises
    ------
    BundleError
        If there is no such model, or its catalogue is damaged.
    TrackingError
        If the catalogue is to be kept with a version that another tool registered.
    ConfigError
        If no query shares its label with another track.
    """
    named = load_manifest(manifest_uri(prepared_name(data) or data)) if isinstance(data, str) else data
    manifest = named if isinstance(named, Manifest) else named.manifest
    uri = model or champion_uri(manifest.name)
    index = _catalogue(load(pinned_uri(uri) if save else uri), manifest, save)
    known = {row["track_id"] for row in index.tracks}
    queries = [t.track_id for t in manifest.of("test") if t.track_id in known]
    rates = {manifest.label: hit_rate(index, "label", queries, K)}
    # An artist counts where a label has several: else "same artist" is another word for "same label".
    artists: dict[str, Counter[str]] = {}
    for t in manifest.tracks:
        if t.artist:
            artists.setdefault(t.label, Counter())[t.artist] += 1
    varied = {label for label, counts in artists.items() if len(counts) > 1}
    by_artist = [t.track_id for t in manifest.of("test") if t.track_id in known and t.artist and t.label in varied]
    try:
        rates["artist"] = hit_rate(index, "artist", by_artist, K)
    except ConfigError as error:
        logger.info(f"  note: {error}")
    return NeighbourQuality(rates, len(index.tracks))


def compare_recommenders(
    data: Manifest | PreparedData | str, model: str = "", k: int = 10, plays: str = ""
) -> Contest | None:
    """A model's neighbours beside those of descriptors and chance, artists apart; what is found is that of test tracks.

    With ``plays``, a folder as ``tonearm factors`` takes it, also beside what most listen to and the neighbours of
    collaborative factors (ALS), by artist. The reports get a page, ``recommend.html``; of the data set's champion
    figures, page and plot are logged with its run. Parameters and errors are those of
    :func:`evaluate_recommender`; ``k`` is the length of the lists, shortened for few tracks. None, and the reason as a
    note, where nothing can be measured, since each label has one artist, say.
    """
    named = load_manifest(manifest_uri(prepared_name(data) or data)) if isinstance(data, str) else data
    manifest = named if isinstance(named, Manifest) else named.manifest
    uri = model or champion_uri(manifest.name)
    index = _catalogue(load(uri), manifest, save=False)
    tracks = {t.track_id: t for t in manifest.tracks}
    rows = [dict(row) for row, placed in zip(index.tracks, index.placed, strict=True) if placed]
    ids = [row["track_id"] for row in rows]
    for name in DESCRIPTORS:
        if name in manifest.metadata:
            for row, value in zip(rows, manifest.metadata.of(ids, name).tolist(), strict=True):
                row[name] = value
    for row in rows:
        row["recording"] = tracks[row["track_id"]].recording or None
    vectors, listeners, others, note = index.vectors[index.placed], None, dict[str, FloatArray](), ""
    if plays:
        note = f"of {len(rows)} tracks those whose artists anybody played, for all that are compared"
        places, listeners, others["ALS"] = played_rows(plays, [str(row.get("artist") or "") for row in rows])
        rows, vectors = [rows[i] for i in places.tolist()], vectors[places]
        logger.info(f"  {note}: {len(rows)}")
    judged = [i for i, row in enumerate(rows) if tracks[row["track_id"]].split == "test"]
    try:
        contest = hold_contest(MemoryLibrary(vectors, rows), k=min(k, len(rows) - 1), judged=judged,
                               listeners=listeners, others=others)  # fmt: skip
        contest = dataclasses.replace(contest, note=note)
    except ConfigError as error:
        logger.info(f"  note: {error}")
        return None
    champion = None if model else retry(registered, manifest.name, names.CHAMPION)
    if champion is not None:
        retry(RunWriter(champion.run_id).metrics, contest.metrics())
    page = publish_contest(contest, manifest.name, uri, champion.run_id if champion else "")
    logger.info(f"  to look at: {page}" if page else "  there is no page of it")
    return contest


def refresh_champion(dataset: str, device: str = "cpu") -> None:
    """Give a data set's champion a catalogue of the tracks that were prepared last, unless its own is of these.

    So what was added is recommended whoever is the champion. Other versions keep their catalogues, also the one that a
    rollback comes to. Nor is it changed where the data set was prepared with another label since.
    """
    name = prepared_name(dataset)
    champion = retry(registered, dataset, names.CHAMPION) if name else None
    if champion is None:
        return

    def refresh() -> None:
        model = load(f"models:/{names.model_name(dataset)}/{champion.version}")
        manifest, label = load_manifest(manifest_uri(name)), model.ensemble.members[0].config.dataset.label
        if manifest.label != label:
            logger.info(f"  the champion's catalogue stays as it was: the champion knows {label!r}, and {name} was "
                        f"prepared last by {manifest.label!r}")  # fmt: skip
            return
        _catalogue(model, manifest, True, device, announced=True)

    try:
        best_effort("the champion's catalogue of the tracks that were prepared last", refresh)
    except KeyboardInterrupt:
        logger.info("  the selection is complete; the champion's catalogue stays as it was: "
                    f"{command('recommend', '--dataset', name, '--save')} makes it")  # fmt: skip
        raise


def _catalogue(
    model: Model, manifest: Manifest, save: bool, device: str = "cpu", announced: bool = False
) -> CatalogueIndex:
    """The model's own catalogue if it is of the data set's tracks as they are now, else one of these."""
    tracks, own = list(manifest.tracks), None
    if model.has_own_catalogue:
        try:
            own = model.recommender.index
        except BundleError:
            if not save:
                raise
    if own and own.is_of(tracks):
        return own
    if announced:
        logger.info(f"  the champion's catalogue is not of the tracks prepared last: predicting {len(tracks)} "
                    "tracks for it ...")  # fmt: skip
    modules = modules_of(*(m.config for m in model.ensemble.members))
    predicted, unusable = predict_usable(model.folder, model.ensemble, tracks, device, modules)
    if unusable:
        one, why = next(iter(unusable.items()))
        logger.info(f"  note: the model cannot hear {len(unusable)} tracks, which are left out, e.g. {one}: {why}")
    if not predicted:
        raise ConfigError(f"the model can hear none of the {len(tracks)} tracks of {manifest.name}: prepare them again")
    heard = [t for t in tracks if t.track_id in predicted and predicted[t.track_id].embedding.any()]
    if not heard:
        raise BundleError(f"the model {model.uri} maps all tracks to zeros, so none is near another: train it again")
    if own and own.is_of(heard):
        return own
    if own:
        have, now = {row["track_id"] for row in own.tracks}, {t.track_id for t in heard}
        how = command("recommend", "--dataset", manifest.name, "--model", model.uri, "--save")
        changed = f"of {len(now)} tracks now {len(now - have)} are new, and {len(have - now)} are gone"
        if have == now:
            changed = "its tracks are described otherwise now, or files have changed"
        until = "" if save else f"; until it gets one of these ({how}) it is served with that"
        logger.info(f"  the catalogue of {model.uri} is of earlier data: {changed}{until}")
    index = registered_catalogue(model.ensemble, heard, [predicted[t.track_id] for t in heard], list(model.clips))
    if save:
        logger.info(f"  a catalogue of {len(heard)} tracks is kept in {model.save_catalogue(index)}")
    return index

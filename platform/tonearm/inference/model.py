"""A loaded model for interactive use: it classifies, recommends, and its results print as tables."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from tonearm.audio.sources import Source
from tonearm.core import storage
from tonearm.core.errors import BundleError
from tonearm.core.text import command, format_table
from tonearm.core.types import FloatArray, Prediction
from tonearm.ensembles.bundle import Ensemble
from tonearm.inference.catalogues import add_to_folder, add_to_registered, newest_catalogue
from tonearm.inference.classify import Classifier
from tonearm.inference.recommend import Recommender
from tonearm.recommend.index import DESCRIPTION, CatalogueIndex, Neighbour

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 5


@dataclass(frozen=True, repr=False)
class Classification:
    """What a model predicts of one recording.

    Attributes
    ----------
    prediction
        Its outputs and its embedding as arrays.
    """

    prediction: Prediction

    @property
    def label(self) -> str:
        """The most probable label."""
        return self.prediction.top(1)[0][0]

    @property
    def probabilities(self) -> dict[str, float]:
        """Of every label, the most probable first; of a regression the values."""
        return dict(self.prediction.top(len(self.prediction.labels)))

    @property
    def embedding(self) -> FloatArray:
        """float32 (dim,), unit length: the vector by which neighbours are found."""
        return self.prediction.embedding

    def __repr__(self) -> str:
        return format_table([(label, f"{p:.3f}") for label, p in self.prediction.top(SHOWN)])


@dataclass(frozen=True, repr=False)
class Recommendation:
    """The tracks of a catalogue that sound most like a recording, the nearest first."""

    neighbours: list[Neighbour]

    @property
    def table(self) -> pd.DataFrame:
        """A row a neighbour: its similarity, -1..1, and its metadata."""
        import pandas as pd

        return pd.DataFrame([{"similarity": n.similarity, **n.track} for n in self.neighbours])

    def __repr__(self) -> str:
        rows: list[tuple[str, ...]] = [("similarity", "neighbour", "artist", "label")]
        for n in self.neighbours:
            known = [n.track.get("title") or n.track["track_id"], n.track.get("artist"), n.track.get("label")]
            rows.append((f"{n.similarity:.3f}", *(str(value or "") for value in known)))
        return format_table(rows)


class Model(Classifier):
    """A model that was loaded: what :func:`tonearm.load` gives.

    Parameters
    ----------
    ensemble
        The members.
    uri
        The one that it was loaded by.
    folder
        Where its bundle lies, with its catalogues if it has any.
    """

    def __init__(self, ensemble: Ensemble, uri: str, folder: str) -> None:
        super().__init__(ensemble)
        self.uri, self.folder = uri, folder

    def classify(self, source: Source) -> Classification:
        """Classify a recording.

        Parameters
        ----------
        source
            Encoded bytes, a path or a URI.

        Raises
        ------
        AudioError
            If it is no usable audio, with the reason.
        """
        return Classification(self.predict(source))

    def recommend(self, source: Source, k: int = SHOWN) -> Recommendation:
        """Find the ``k`` tracks of the catalogue that sound most like a recording.

        Raises
        ------
        BundleError
            If the model has no catalogue.
        AudioError
            If the recording is no usable audio, with the reason.
        """
        return Recommendation(self.recommender.recommend(source, k)[1])

    @property
    def has_catalogue(self) -> bool:
        """Whether it can recommend, not only classify."""
        return storage.exists(storage.join(newest_catalogue(self.folder), DESCRIPTION))

    @cached_property
    def recommender(self) -> Recommender:
        """The model with its catalogue, which is read when it is first asked for.

        Raises
        ------
        BundleError
            If it has none.
        """
        if not self.has_catalogue:
            raise BundleError(
                f"the model {self.uri} has no catalogue to recommend from: make one of a data set's tracks with "
                + command("recommend", "--dataset", "NAME", "--model", self.uri, "--save")
            )
        return Recommender(self, CatalogueIndex.load(newest_catalogue(self.folder)))

    def save_catalogue(self, index: CatalogueIndex) -> str:
        """Keep a catalogue with the model, beside those that it has: it is the one that counts now. Where it lies.

        Raises
        ------
        BundleError
            If the model was loaded by an alias, which may be another version's by now.
        TrackingError
            If it is a registered version of another tool.
        """
        if self.uri.startswith("models:/"):
            if "@" in self.uri:
                raise BundleError(f"{self.uri} may be another version by now: load models:/NAME/VERSION")
            self.folder = add_to_registered(self.uri, self.folder, index)
        else:
            add_to_folder(self.folder, index)
        self.__dict__.pop("recommender", None)
        return newest_catalogue(self.folder)

    def __repr__(self) -> str:
        members = len(self.ensemble.members)
        shown = ", ".join(self.classes[:SHOWN]) + (", ..." if len(self.classes) > SHOWN else "")
        return f"{self.uri}: {members} network{'s' * (members > 1)}, {len(self.classes)} classes ({shown})"

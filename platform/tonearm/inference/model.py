"""A loaded model for interactive use: it classifies, recommends, and its results print as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from tonearm.audio.sources import Source, as_source
from tonearm.core import storage
from tonearm.core.errors import BundleError
from tonearm.core.text import command
from tonearm.ensembles.bundle import Ensemble
from tonearm.inference.catalogues import add_to_folder, add_to_registered, newest_catalogue
from tonearm.inference.classification import Classification
from tonearm.inference.classify import Classifier
from tonearm.inference.described import Described, describe_source, has_descriptors
from tonearm.inference.explain import Explanation, explain, is_explained
from tonearm.inference.identity import member_uris, model_digest
from tonearm.inference.made_catalogues import FollowedCatalogue
from tonearm.inference.member import StoredTrack, combine_members, predict_member
from tonearm.inference.pairs import Listener
from tonearm.inference.recommend import Recommender
from tonearm.inference.recommendation import Recommendation, Way
from tonearm.inference.recommending import find_way, recommend
from tonearm.inference.timeline import timeline
from tonearm.recommend.doubt import HeardTracks, read_heard_tracks
from tonearm.recommend.index import DESCRIPTION, CatalogueIndex
from tonearm.recommend.library import Library
from tonearm.recommend.request import Request

SHOWN = 5


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
    device
        Where it computes.
    """

    def __init__(self, ensemble: Ensemble, uri: str, folder: str, device: str = "cpu") -> None:
        super().__init__(ensemble, device)
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
        return self._classified(self.hear_each(source))

    def _classified(self, stored: Sequence[StoredTrack]) -> Classification:
        answers = [predict_member(m, own) for m, own in zip(self.ensemble.members, stored, strict=True)]
        prediction = combine_members(self.ensemble, answers)
        why = explain(self.ensemble, stored, answers, prediction) if is_explained(self.ensemble.task) else None
        known = self.heard_tracks
        heard = None if known is None else float(known.heard(prediction.embedding[None])[0])
        moments = timeline(self.ensemble, stored, answers)
        return Classification(prediction, self.read(prediction), why, heard, moments)

    def explain(self, source: Source, label: str = "", against: str = "") -> Explanation:
        """Say which members, inputs, training tracks and times speak for an answer.

        Parameters
        ----------
        source
            Encoded bytes, a path or a URI.
        label, against
            Of the model's classes; none given: what it answers, and the runner-up.

        Raises
        ------
        AudioError
            If it is no usable audio, with the reason.
        ConfigError
            If the model knows no such class, or it answers a vector.
        """
        stored = self.hear_each(source)
        answers = [predict_member(m, own) for m, own in zip(self.ensemble.members, stored, strict=True)]
        return explain(self.ensemble, stored, answers, combine_members(self.ensemble, answers), label, against)

    @cached_property
    def heard_tracks(self) -> HeardTracks | None:
        """Its training tracks; None of a model that does not know them: a trial's, or one of an earlier version.

        Raises
        ------
        BundleError
            If what was kept of them is damaged.
        """
        return read_heard_tracks(self.folder)

    def recommend(
        self, source: Source | None = None, k: int = SHOWN, *, like: str | Sequence[str] = (),
        dislike: str | Sequence[str] = (), artists: str | Sequence[str] = (), taste: bool = False,
        where: Mapping[str, Any] | None = None, not_same: str | Sequence[str] = (), diversity: float = 0.0,
        sliders: Mapping[str, float] | None = None,
    ) -> Recommendation:  # fmt: skip
        """Find the ``k`` tracks of the catalogue that sound most like a recording, like what is liked, or both.

        Parameters
        ----------
        source
            Encoded bytes, a path or a URI; None: what is liked says it.
        like, dislike, artists, taste, where, not_same, diversity, sliders
            As :class:`tonearm.recommend.request.Request` has them: ``like=["id"]``, ``where={"year": (1990, None)}``,
            ``sliders={"faster": 0.5}``.

        Raises
        ------
        BundleError
            If the model has no catalogue, or one of another model.
        AudioError
            If the recording is no usable audio, with the reason.
        ConfigError
            If it cannot be answered: all that is wrong.
        """
        request = Request(
            like=_several(like), dislike=_several(dislike), artists=_several(artists), taste=taste, k=k,
            where=where or {}, not_same=_several(not_same), diversity=diversity, sliders=sliders or {},
        )  # fmt: skip
        library = self.library
        if source is None:
            return recommend(library, request, listener=Listener.of(self.ensemble))
        source = as_source(source)  # an open file is read once
        stored = self.hear_each(source)
        found = self._classified(stored)
        recording = describe_source(source, self.clip, found.prediction, has_descriptors(library))
        return recommend(library, request, recording, found, Listener.of(self.ensemble, source, stored))

    def listen(self, source: Source, descriptors: bool = False) -> tuple[Classification, Described]:
        """What a recording is, and what a library needs to know of it, so that another process can recommend.

        Raises
        ------
        AudioError
            If it is no usable audio, with the reason.
        """
        source = as_source(source)
        found = self.classify(source)
        return found, describe_source(source, self.clip, found.prediction, descriptors)

    def path(self, a: str, b: str, n: int = SHOWN, where: Mapping[str, Any] | None = None) -> Way:
        """The way from one track of the catalogue to another by ``n`` others, each nearer to the second one.

        Raises
        ------
        BundleError
            If the model has no catalogue.
        ConfigError
            If an id is unknown, or there is no such way.
        """
        return find_way(self.library, a, b, n, where)

    @property
    def library(self) -> Library:
        """What it recommends from, as it is now: the newest catalogue of tracks that ``tonearm index`` made for it,
        else its own, which it was registered with.

        Raises
        ------
        BundleError
            If there is none.
        """
        made = self._followed.now()
        return self.recommender.index.library if made is None else made

    @cached_property
    def digest(self) -> str:
        """What its space is named by: its bundles, and how they are combined."""
        return model_digest(member_uris(self.folder, self.ensemble), self.ensemble)

    @cached_property
    def _followed(self) -> FollowedCatalogue:
        return FollowedCatalogue(self.digest, self.has_own_catalogue)

    @property
    def has_catalogue(self) -> bool:
        """Whether it can recommend, not only classify."""
        return self.has_own_catalogue or self._followed.now() is not None

    @property
    def has_own_catalogue(self) -> bool:
        """Whether a catalogue lies in its bundle."""
        return storage.exists(storage.join(newest_catalogue(self.folder), DESCRIPTION))

    @cached_property
    def recommender(self) -> Recommender:
        """The model with its own catalogue, which is read when it is first asked for.

        Raises
        ------
        BundleError
            If it has none.
        """
        if not self.has_own_catalogue:
            raise BundleError(
                f"the model {self.uri} has no catalogue to recommend from: make one of a library with "
                + command("index", "--audio", "FOLDER", "--model", self.uri)
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
        for known in ("recommender", "_followed"):
            self.__dict__.pop(known, None)
        return newest_catalogue(self.folder)

    def __repr__(self) -> str:
        members, task = len(self.ensemble.members), self.ensemble.task.kind
        shown = ", ".join(self.classes[:SHOWN]) + (", ..." if len(self.classes) > SHOWN else "")
        return f"{self.uri}: {members} network{'s' * (members > 1)}, {task}, {len(self.classes)} outputs ({shown})"


def _several(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)

"""What listeners liked is learned from: events, the export, vectors of artists and of tracks, and a network that hears
a recording and places it among them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from jobs import feedback, train
from search_spaces.recipes import RECIPES
from tests.builders import encode, music, tiny_config
from tests.commands import run_job
from tests.extract_in_process import extract_in_process
from tests.integration.test_recipes import settings
from tests.tiny_data import LABELS, SECONDS, Recording, make_recordings, write_audio
from tonearm.core.unit_length import unit_length
from tonearm.feedback.events import Event
from tonearm.feedback.store import FeedbackStore
from tonearm.inference import load
from tonearm.inference.catalogues import CATALOGUE
from tonearm.recommend import CatalogueIndex
from tonearm.training.bundle import Bundle, build_network, save_bundle
from tonearm.workflows.prepare import choose_dataset, make_catalogue

pytestmark = pytest.mark.integration

LISTENERS = 12
#: Few artists make few steps an epoch: larger ones.
TABLE = ("artist_table.optim.lr=0.05", "artist_table.optim.epochs=40")


@dataclass(frozen=True)
class Library:
    """Recordings, and a model whose catalogue knows whose they are."""

    root: Path
    model: str
    recordings: list[Recording]


def say_what_is_liked(recordings: list[Recording]) -> None:
    """Each listener asks with seeds of one label, and likes what is of it, too, but for one answer in ten."""
    rng, events = np.random.default_rng(0), list[Event]()
    for listener, seed in itertools.product(range(LISTENERS), recordings):
        if seed.label != LABELS[listener % 2]:
            continue
        for track in rng.choice(np.array(recordings, object), 4, replace=False):
            likes = (track.label == seed.label) != (rng.random() < 0.1)
            events.append(Event(f"event-{len(events):06d}", f"listener-{listener:012d}", "like" if likes else "dislike",
                                track.path, seed.path, position=1, received=float(len(events))))  # fmt: skip
    FeedbackStore().add(events)


@pytest.fixture(scope="module")
def library(one_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """Feedback about it is in the home."""
    root, bundle = tmp_path_factory.mktemp("liked"), str(tmp_path_factory.mktemp("shown") / "bundle")
    recordings = make_recordings()
    write_audio(root, recordings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TONEARM_HOME", str(one_home))
        patch.setenv("TONEARM_CACHE", str(root / "cache"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(one_home)
        patch.setattr(torch, "set_num_threads", lambda n: None)
        extract_in_process(patch)
        config = tiny_config()
        save_bundle(bundle, Bundle(config, LABELS, {}, build_network(config, len(LABELS)).eval()))
        tracks = make_catalogue(choose_dataset("folder", str(root)), "all").tracks
        dim = len(load(bundle).predict(encode(music(3.0))).embedding)
        CatalogueIndex.build(np.eye(len(tracks), dim, dtype=np.float32), tracks).save(f"{bundle}/{CATALOGUE}")
        say_what_is_liked(recordings)
        yield Library(root, bundle, recordings)


def trained(recipe: str, library: Library, *more: str) -> str:
    """Train a small form of a recipe on the export of feedback beside the recordings; what the command printed."""
    code, told = run_job(feedback.main, "--out", str(library.root), "--model", library.model)
    assert code == 0 and "relations.csv" in told, told
    small = {path: value for path, _, value in (text.partition("=") for text in (*settings(RECIPES[recipe]()), *more))}
    changes = [text for path, value in small.items() for text in ("--set", f"{path}={value}")]
    code, told = run_job(train.main, "--recipe", recipe, "--data", str(library.root), *changes)
    assert code == 0, told
    return told


def test_a_network_learns_to_hear_which_artists_listeners_like_alike(library: Library, database: None) -> None:
    told = trained("embedding_simple_mel", library, *TABLE, "mel_simple.optim.epochs=30")
    served = re.search(r"serve it: .* --model (\S+)", told)
    assert served, told
    model = load(served[1])
    label = {r.path: r.label for r in library.recordings}
    vectors = {path: unit_length(model.predict(str(library.root / path)).probabilities) for path in label}
    pairs = list(itertools.combinations(label, 2))
    cosine = {same: np.mean([vectors[a] @ vectors[b] for a, b in pairs if (label[a] == label[b]) is same])
              for same in (True, False)}  # fmt: skip
    assert cosine[True] > cosine[False] + 0.5, cosine
    new = unit_length(model.predict(encode(music(SECONDS, seed=77, low=700.0), container="MP3")).probabilities)
    near = sorted(label, key=lambda path: -float(vectors[path] @ new))[:5]
    assert [label[path] for path in near].count("high") >= 4, "nobody's recording lies with what sounds like it"


def test_tracks_that_the_same_listeners_like_are_near_in_a_space_of_tracks(library: Library, database: None) -> None:
    told = trained("artist_table", library, "data.relations_from='plays'", "data.level='track'", *TABLE)
    assert f"{len(library.recordings)} tracks are related by plays.csv" in told
    overlap = re.search(r"mean Jaccard overlap .*: table (\S+), random (\S+)", told)
    assert overlap and float(overlap[1]) > float(overlap[2]) + 0.3, told

"""Artists of the test split of the recordings are held out of the table: nothing is learned from their relations."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from search_spaces.recipes import RECIPES
from search_spaces.recipes.whitell_artists import TABLE
from tests.builders import tiny_config, track
from tonearm.core.errors import DatasetError
from tonearm.datasets import ArtistsConfig
from tonearm.datasets.manifest import SPLITS, Manifest, Split
from tonearm.datasets.metadata import Metadata
from tonearm.features.metadata import ArtistsFeature
from tonearm.models import ArtistTableConfig
from tonearm.recommend.artist_embeddings import neighbour_overlap, overlap_of_table
from tonearm.tasks import Relations
from tonearm.training.bundle import load_bundle
from tonearm.training.examples import with_splits_of
from tonearm.training.recipe import Stage
from tonearm.training.relations import RelationExamples, places_of_artists
from tonearm.training.stages import FinishedStage, StagePaths, StageRun, data_of_stage, track_vectors

NAMES = [f"artist{i:02d}" for i in range(24)]
SPLIT_OF: dict[int, Split] = {i: "test" if i in (3, 9, 17) else "validation" if i in (5, 12) else "train"
                              for i in range(20)}  # fmt: skip
TESTED = [i for i, split in SPLIT_OF.items() if split == "test"]
OTHERS = np.delete(np.arange(24), TESTED)
#: One recording each of all but the last four.
RECORDINGS = Manifest("songs", "genre", tuple(
    track(f"song{i}", artist=NAMES[i], group=f"artist:{NAMES[i]}", split=split) for i, split in SPLIT_OF.items()
))  # fmt: skip
DATA = ArtistsConfig(audio=False)


def related(seed: int) -> np.ndarray:
    """Relations of the artists; those of the tested ones, and these alone, are other ones with another seed."""
    rng, other = np.random.default_rng(0), np.random.default_rng(seed)
    lists: list[list[int]] = [[] for _ in NAMES]
    for a, b in combinations(range(24), 2):
        drawn, anew = rng.random(), other.random()
        if (anew if {a, b} & set(TESTED) else drawn) < 0.3:
            lists[a].append(b)
            lists[b].append(a)
    most = max(map(len, lists))
    return np.array([own + [-1] * (most - len(own)) for own in lists])


def table_manifest(relations: np.ndarray) -> Manifest:
    """As it is prepared: its own splits have nothing to do with the recordings'."""
    tracks = tuple(track(n, "", group=f"artist:{n}", split=SPLITS[i % 3]) for i, n in enumerate(NAMES))
    return Manifest("artist-relations", "artist", tracks, metadata=Metadata(NAMES, {"related": relations}))


def trained(recipe: str, relations: np.ndarray, folder: Path) -> FinishedStage:
    """The table stage of a recipe, made small."""
    (stage,) = (s for s in RECIPES[recipe]().stages if s.name == TABLE)
    config = stage.config.replace({"task.dimension": 6, "optim.lr": 0.05, "optim.epochs": 2})
    stage = Stage(TABLE, config, data=DATA)
    run = StageRun(stage, data_of_stage(stage, RECORDINGS, {DATA.signature(): table_manifest(relations)}), {},
                   StagePaths("", str(folder), ""))  # fmt: skip
    list(run.run())
    return run.finish()


def examples_of(relations: np.ndarray, **task: object) -> RelationExamples:
    config = tiny_config({"feature": ArtistsFeature(artists=24), "model": ArtistTableConfig(),
                          "task": Relations(dimension=4, held_out=True).replace(task)})  # fmt: skip
    manifest = with_splits_of(table_manifest(relations), RECORDINGS)
    return RelationExamples(config, manifest.tracks, (), manifest.metadata)


def weights(done: FinishedStage) -> np.ndarray:
    found: np.ndarray = load_bundle(done.folder.bundle_uri).network.get_parameter("table.weight").detach().numpy()
    return found


def test_what_test_artists_are_related_to_changes_no_bit_of_the_others_vectors(tmp_path: Path) -> None:
    one, other = (trained("artist_recommender", related(seed), tmp_path) for seed in (1, 2))
    assert one.folder.uri != other.folder.uri and not np.array_equal(related(1)[TESTED], related(2)[TESTED])
    assert weights(one)[OTHERS].tobytes() == weights(other)[OTHERS].tobytes()


def test_the_published_table_learns_from_all_relations(tmp_path: Path) -> None:
    one, other = (trained("recommendation_all", related(seed), tmp_path) for seed in (1, 2))
    assert not np.allclose(weights(one)[OTHERS], weights(other)[OTHERS], atol=1e-3)
    assert "held_out" not in one.config.task.to_dict(), "or its trials would be other ones"


def test_artists_have_the_splits_of_their_recordings() -> None:
    found = with_splits_of(table_manifest(related(1)), RECORDINGS)
    assert [t.split for t in found.tracks] == [SPLIT_OF.get(i, "train") for i in range(24)]
    crossing = (*RECORDINGS.tracks, track("another", artist=NAMES[3].upper(), split="train"),
                track("live", artist=NAMES[5], split="test"))  # fmt: skip
    found = with_splits_of(found, Manifest("songs", "genre", crossing))
    assert (found.tracks[3].split, found.tracks[5].split) == ("train", "test")


@pytest.mark.parametrize("sampling", ["uniform", "popularity"])
def test_no_pair_has_a_test_artist(sampling: str) -> None:
    examples = examples_of(related(1), sampling=sampling, negatives=4)
    batches = [b.inputs for epoch in range(1, 20) for b in examples.train(epoch)]
    pairs = np.concatenate([*batches, *(x for x, _ in examples.evaluation("test"))])
    assert set(pairs.ravel().tolist()) == set(OTHERS.tolist())


def test_test_artists_are_folded_in_at_the_mean_direction_of_the_known_ones_that_they_are_related_to() -> None:
    relations = np.full((24, 3), -1)
    for a, b in ((0, 1), (1, 2), (0, 2), (2, 3), (0, 3), (3, 9), (4, 9), (20, 21)):
        for one, other in ((a, b), (b, a)):
            relations[one, np.argmin(relations[one])] = other
    examples = examples_of(relations)
    assert np.flatnonzero(examples.known).tolist() == [0, 1, 2, 20, 21], "4 is related to a test artist alone"
    table = np.random.default_rng(0).normal(size=(24, 4))
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    found = places_of_artists(examples, table)
    np.testing.assert_allclose(found[[0, 1, 2, 20, 21]], unit[[0, 1, 2, 20, 21]])
    np.testing.assert_allclose(found[3], (unit[0] + unit[2]) / np.linalg.norm(unit[0] + unit[2]))
    assert np.isnan(found[np.delete(np.arange(24), [0, 1, 2, 3, 20, 21])]).all(), "9 is related to 3 and to 4"


def test_later_stages_learn_these_and_the_overlap_is_of_known_artists(tmp_path: Path) -> None:
    relations = related(1)
    done = trained("artist_recommender", relations, tmp_path)
    ids, column = track_vectors(done, StagePaths("", str(tmp_path), ""))
    config = done.config
    examples = RelationExamples(config, done.manifest.tracks, (), done.manifest.metadata)  # type: ignore[arg-type]
    np.testing.assert_array_equal(column.take(np.arange(24)), places_of_artists(examples, weights(done)))
    assert ids == NAMES
    found = overlap_of_table(load_bundle(done.folder.bundle_uri), done.manifest)
    among = {old: new for new, old in enumerate(OTHERS.tolist())}
    kept = np.array([[among.get(int(j), -1) for j in row] for row in relations[OTHERS]])
    assert found["table"] == pytest.approx(neighbour_overlap(weights(done)[OTHERS], kept))


def test_nothing_to_learn_from_is_named() -> None:
    relations = np.full((24, 1), -1)
    relations[3], relations[9] = 9, 3
    with pytest.raises(DatasetError, match="no artist has a related one, without those of the test split: there is"):
        examples_of(relations)

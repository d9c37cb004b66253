"""Related artists: the pairs that a table learns from, and how well its neighbours are the related ones."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.builders import tiny_config, track
from tonearm.core.errors import BundleError, ConfigError, DatasetError
from tonearm.core.types import GroundTruth
from tonearm.datasets.manifest import SPLITS, Manifest
from tonearm.datasets.metadata import Metadata
from tonearm.features.metadata import ArtistsFeature
from tonearm.models import ArtistTableConfig
from tonearm.models.artist_table import ArtistTable
from tonearm.recommend.artist_embeddings import neighbour_overlap, overlap_of_table
from tonearm.tasks import Relations
from tonearm.training.bundle import Bundle, build_network, load_bundle
from tonearm.training.config import TrialConfig
from tonearm.training.examples import bind_to_data, keep_usable_tracks, make_examples
from tonearm.training.relations import RelationExamples
from tonearm.training.trial import TrialFolder, run_trial, score_test

#: Ten artists; e and j have no related ones.
NAMES = list("abcdefghij")
RELATED = np.array([[1, 2, 3], [0, -1, -1], [0, 1, -1], [2, -1, -1], [-1, -1, -1],
                    [6, 7, -1], [5, -1, -1], [8, 5, -1], [7, 6, 5], [-1, -1, -1]])  # fmt: skip
LINKS = {(i, int(j)) for i, row in enumerate(RELATED) for j in row if j >= 0}


def config_of(changes: dict[str, Any] | None = None) -> TrialConfig:
    fields = {"feature": ArtistsFeature(artists=10), "model": ArtistTableConfig(), "task": Relations(dimension=4)}
    return tiny_config({**fields, "optim.batch_size": 3, **(changes or {})})


def manifest_of(names: list[str], related: np.ndarray) -> Manifest:
    """Of which no artist has a label; the splits play no part."""
    tracks = tuple(track(n, "", group=f"artist:{n}", split=SPLITS[i % 3]) for i, n in enumerate(names))
    return Manifest("artists", "artist", tracks, metadata=Metadata(names, {"related": related}))


def examples_of(changes: dict[str, Any] | None = None, related: np.ndarray = RELATED) -> RelationExamples:
    found = make_examples(config_of(changes), manifest_of(NAMES, related), "", "")
    assert isinstance(found, RelationExamples)
    return found


def pairs_of(examples: RelationExamples, epoch: int) -> list[tuple[int, int, int]]:
    return [(*map(int, p), int(t)) for b in examples.train(epoch) for p, t in zip(b.inputs, b.targets, strict=True)]  # type: ignore[misc]


# --- pairs


def test_every_epoch_has_all_related_pairs_and_as_many_random_ones_of_the_same_artists() -> None:
    for epoch in range(1, 30):
        pairs = pairs_of(examples_of(), epoch)
        related = [(a, b) for a, b, target in pairs if target == 1]
        random = [(a, b) for a, b, target in pairs if target == 0]
        assert len(related) == len(LINKS) == 15 and set(related) == LINKS
        assert sorted(a for a, _ in random) == sorted(a for a, _ in related)
        assert all(a != b and (a, b) not in LINKS for a, b in random)


def test_random_artists_are_all_that_are_not_related() -> None:
    examples = examples_of()
    drawn = {(a, b) for epoch in range(1, 80) for a, b, target in pairs_of(examples, epoch) if target == 0}
    left = [i for i in range(10) if i not in (4, 9)]
    assert drawn == {(a, b) for a in left for b in range(10) if a != b and (a, b) not in LINKS}


def test_batch_is_of_some_artists_with_all_their_pairs() -> None:
    examples = examples_of()
    batches = list(examples.train(1))
    assert len(batches) == examples.steps(3) == 3 and examples.steps(8) == 1 and examples.steps(9) == 1
    artists = [{int(a) for a, _ in b.inputs} for b in batches]  # type: ignore[union-attr]
    assert [len(a) for a in artists] == [3, 3, 2] and set.union(*artists) == set(range(10)) - {4, 9}
    for batch, own in zip(batches, artists, strict=True):
        assert isinstance(batch.inputs, torch.Tensor) and batch.inputs.dtype == torch.int64
        assert batch.targets.dtype == torch.float32 and float(batch.targets.mean()) == 0.5
        assert len(batch.targets) == 2 * sum(a in own for a, _ in LINKS)
        assert batch.track_ids == [NAMES[int(a)] for a, _ in batch.inputs]
    assert len(list(examples.train(1, 8))) == 1


def test_pairs_are_a_function_of_seed_and_epoch() -> None:
    examples = examples_of()
    list(examples.train(9))
    assert pairs_of(examples, 2) == pairs_of(examples_of(), 2)
    assert pairs_of(examples, 2) != pairs_of(examples, 3)
    assert pairs_of(examples, 2) != pairs_of(examples_of({"seed": 1}), 2)


def test_evaluation_is_fixed_and_complete() -> None:
    examples = examples_of()
    ((pairs, each),) = examples.evaluation("validation")
    list(examples.train(1))
    ((again, _),) = examples.evaluation("test")
    ((other, _),) = examples_of({"seed": 1}).evaluation("test")
    assert isinstance(pairs, torch.Tensor) and isinstance(again, torch.Tensor) and each == 1
    assert torch.equal(pairs, again) and not torch.equal(pairs, other)  # type: ignore[arg-type]
    target = examples.targets("test")
    assert target.tolist() == [1.0] * 15 + [0.0] * 15
    assert {(int(a), int(b)) for a, b in pairs[:15]} == LINKS
    assert all(int(a) != int(b) and (int(a), int(b)) not in LINKS for a, b in pairs[15:])
    assert examples.ids("test")[0] == "a / b" and len(set(examples.ids("test")[:15])) == 15
    assert examples.groups("test")[:4] == ["a", "a", "a", "b"]


@pytest.mark.parametrize(
    ("related", "message"),
    [
        (np.full((10, 2), -1), "no artist has a related one: there is nothing to learn from"),
        (np.full((10, 2), 10), "'related' must list rows of the 10 artists, -1 for none"),
        (np.arange(10), "'related' must list rows of the 10 artists, -1 for none"),
    ],
)
def test_relations_that_cannot_be_are_named(related: np.ndarray, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        examples_of(related=related)


def test_other_inputs_and_absent_facts_are_named() -> None:
    with pytest.raises(DatasetError, match="pairs of artists are made of the input 'artists', not of 'mel'"):
        RelationExamples(tiny_config(), [], (), Metadata())
    with pytest.raises(DatasetError, match="no metadata column 'kin' is known of these tracks: there are related"):
        examples_of({"feature.column": "kin"})


@pytest.mark.parametrize("sampling", ["uniform", "popularity"])
def test_several_random_artists_are_drawn_for_each_related_one_in_training_alone(sampling: str) -> None:
    drawing = {"task.negatives": 3, "task.sampling": sampling}
    pairs = pairs_of(examples_of(drawing), 1)
    related, random = ([(a, b) for a, b, t in pairs if t == wanted] for wanted in (1, 0))
    assert set(related) == LINKS and len(random) == 3 * len(related)
    assert sorted(a for a, _ in random) == sorted(3 * [a for a, _ in related])
    assert all(a != b and (a, b) not in LINKS for a, b in random)
    assert examples_of(drawing).ids("test") == examples_of().ids("test"), "what is judged stays the same"


def test_random_artists_are_drawn_by_how_often_they_are_related() -> None:
    related = np.full((50, 2), -1)
    related[1:40, 0] = 0  # artist 0 is related to 39, artist 41 to one, the others to none
    related[40, 0] = 41
    names = [f"{i:02d}" for i in range(50)]
    config = config_of({"task.sampling": "popularity", "feature.artists": 50, "optim.batch_size": 50})
    examples = make_examples(config, manifest_of(names, related), "", "")
    counts = np.zeros(50)
    for epoch in range(40):
        for a, b, target in pairs_of(examples, epoch):  # type: ignore[arg-type]
            counts[b] += target == 0 and a == 40
    assert set(np.flatnonzero(counts)) == {0} and counts[0] == 40, "41 is related to 40, and the others to nobody"


# --- the task


def test_metrics_and_loss_by_hand() -> None:
    task = Relations(dimension=2)
    found = task.metrics(np.array([[0.8], [0.4], [0.1], [0.6]], dtype=np.float32), np.array([1.0, 1, 0, 0]))
    assert found == pytest.approx(
        {"log_loss": -(math.log(0.8) + math.log(0.4) + math.log(0.9) + math.log(0.4)) / 4, "roc_auc": 0.75,
         "accuracy": 0.5}, rel=1e-6)  # fmt: skip
    loss = task.loss(torch.tensor([[0.0], [math.log(3)]]), torch.tensor([1.0, 0.0]))
    assert float(loss) == pytest.approx((math.log(2) + math.log(4)) / 2)
    assert task.pool(np.full((1, 1, 1), math.log(3), dtype=np.float32)).tolist() == [[pytest.approx(0.75)]]
    assert task.trivial(np.array([1.0, 0, 0, 0]), 2).tolist() == [0.25]


def test_hinge_and_weights_of_random_pairs_by_hand() -> None:
    logits, target = torch.tensor([[2.0], [0.5], [-3.0], [1.0]]), torch.tensor([1.0, 1, 0, 0])
    hinge = Relations(dimension=2, loss_kind="hinge", margin=1.5, primary="roc_auc")
    assert float(hinge.loss(logits, target)) == pytest.approx((0 + 1.0 + 0 + 2.5) / 4)
    three = Relations(dimension=2, loss_kind="hinge", margin=1.5, negatives=3)
    many = torch.cat([logits[:2], logits[2:].repeat(3, 1)]), torch.cat([target[:2], target[2:].repeat(3)])
    assert float(three.loss(*many)) == pytest.approx(float(hinge.loss(logits, target)))
    plain, four = Relations(dimension=2), Relations(dimension=2, negatives=4)
    many = torch.cat([logits[:2], logits[2:].repeat(4, 1)]), torch.cat([target[:2], target[2:].repeat(4)])
    assert float(four.loss(*many)) == pytest.approx(float(plain.loss(logits, target)))
    assert Relations().to_dict().keys() == {"kind", "dimension"}
    for fields, message in (
        ({"negatives": 0}, "negatives is 0"), ({"loss_kind": "hinge", "margin": 0.0}, "margin is 0.0"),
        ({"margin": 2.0}, "the log loss has none"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=message):
            Relations(**fields)


def test_logits_of_both_distances_by_hand() -> None:
    rows = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]])
    for distance, wanted in (("cosine", [10 * 0 - 5, 10 * 1 - 5]), ("euclidean", [10 - 10 * 5**0.5, 10 - 20])):
        table = ArtistTable(3, 2, distance)  # type: ignore[arg-type]
        with torch.no_grad():
            table.table.weight.copy_(rows)
            found = table(torch.tensor([[0, 1], [0, 2]]))
        torch.testing.assert_close(found[:, 0], torch.tensor(wanted, dtype=torch.float32), rtol=1e-4, atol=1e-4)


def test_outputs_are_the_vector_s_numbers_and_the_answer_is_one() -> None:
    task, truth = Relations(dimension=3), GroundTruth([(), ()], ["a", "b"])
    names = task.names(truth, ("ignored",))
    assert names == ("vector[0]", "vector[1]", "vector[2]") and task.output_names(names) == ("related",)
    assert task.has_target(truth).tolist() == [True, True]
    with pytest.raises(ConfigError, match="dimension is 0"):
        Relations(dimension=0)
    with pytest.raises(DatasetError, match="no metadata column 'related'"):
        task.encode(truth, names)


# --- neighbours


def on_a_circle(*degrees: float) -> np.ndarray:
    angles = np.radians(np.array(degrees))
    lengths = np.arange(1, len(degrees) + 1)[:, None]  # which play no part
    found: np.ndarray = lengths * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return found


@pytest.mark.parametrize("rows_at_once", [1, 3, 1024])
def test_neighbour_overlap_by_hand(rows_at_once: int) -> None:
    # Of a its two nearest, b and c, are both related: 1. Of b the nearest, a, is not: 0. Of c the nearest are b and a,
    # b and d are related: 1 of 3. d has no related artist and does not count.
    related = np.array([[1, 2], [3, -1], [3, 1], [-1, -1]])
    found = neighbour_overlap(on_a_circle(0, 10, 50, 180), related, rows_at_once)
    assert found == pytest.approx((1 + 0 + 1 / 3) / 3)


def test_neighbour_overlap_by_euclidean_distance_by_hand() -> None:
    # On a line at 1, 2, 4, 8: by direction all are equal, by distance the nearest of each is the one before but of a.
    vectors, related = np.array([[1.0], [2.0], [4.0], [8.0]]), np.array([[1], [0], [1], [0]])
    assert neighbour_overlap(vectors, related, distance="euclidean") == pytest.approx(3 / 4)
    for at_once in (1, 3):
        assert neighbour_overlap(vectors, related, at_once, "euclidean") == pytest.approx(3 / 4)


def test_neighbour_overlap_is_1_for_perfect_vectors_and_0_without_relations() -> None:
    related = np.array([[1, 2], [0, 2], [0, 1], [4, -1], [3, -1]])
    assert neighbour_overlap(on_a_circle(0, 5, 10, 180, 190), related) == 1.0
    assert neighbour_overlap(on_a_circle(0, 180, 90, 200, 10), related) < 0.5
    assert neighbour_overlap(on_a_circle(0, 5, 10), np.full((3, 2), -1)) == 0.0
    assert 0 <= neighbour_overlap(np.zeros((5, 2)), related) <= 1


def test_neighbour_overlap_equals_a_plain_transcription() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(40, 5))
    related = np.full((40, 7), -1)
    for i, row in enumerate(related):
        others = rng.permutation(np.delete(np.arange(40), i))[: rng.integers(0, 8)]
        row[: len(others)] = others
    overlaps = []
    for i in range(40):
        own = {int(r) for r in related[i] if r >= 0}
        cosine = {j: vectors[i] @ vectors[j] / np.linalg.norm(vectors[i]) / np.linalg.norm(vectors[j])
                  for j in range(40) if j != i}  # fmt: skip
        near = set(sorted(cosine, key=lambda j: -cosine[j])[: len(own)])
        overlaps += [len(own & near) / len(own | near)] if own else []
    assert neighbour_overlap(vectors, related, 16) == pytest.approx(np.mean(overlaps))


# --- training


@pytest.mark.parametrize("how", [
    {}, {"model.distance": "euclidean"}, {"task.negatives": 3, "task.sampling": "popularity"},
    {"task.loss_kind": "hinge", "task.margin": 2.0, "task.primary": "roc_auc"},
])  # fmt: skip
def test_training_a_table_lifts_the_overlap_far_above_a_random_one(how: dict[str, Any], tmp_path: Path) -> None:
    names = [f"artist{i:02d}" for i in range(24)]  # four circles of six, each related to its other five
    related = np.array([[j for j in range(24) if j % 4 == i % 4 and j != i] for i in range(24)])
    manifest = keep_usable_tracks(Relations(), ArtistsFeature(), manifest_of(names, related))
    changes = {"optim.lr": 0.05, "optim.batch_size": 8, "optim.epochs": 12, "task.dimension": 8, "feature.artists": 1,
               **how}  # fmt: skip
    config = bind_to_data(config_of(changes), manifest)
    assert isinstance(config.feature, ArtistsFeature) and config.feature.artists == 24
    folder, examples = TrialFolder(str(tmp_path / "trial")), make_examples(config, manifest, "", "")
    history = list(run_trial(config, examples, folder))
    bundle = load_bundle(folder.bundle_uri)
    assert isinstance(bundle.network, ArtistTable) and bundle.network.table.weight.shape == (24, 8)
    found = overlap_of_table(bundle, manifest)
    assert found["table"] > 0.95 and found["random"] < 0.3
    assert ("its directions" in found) == ("model.distance" in how)
    assert history[-1]["train_loss"] < 0.3 * history[0]["train_loss"]
    scored = score_test(config, examples, folder)
    assert scored.classes == ("related",) and scored.probabilities.shape == (240, 1)
    assert scored.target.tolist() == [1.0] * 120 + [0.0] * 120
    assert ((scored.probabilities[:, 0] > 0.5) == (scored.target > 0)).mean() > 0.95


def test_overlap_is_of_tables_alone() -> None:
    config = tiny_config()
    with pytest.raises(BundleError, match="a model of kind 'simple' holds no table of artists"):
        overlap_of_table(Bundle(config, ("a",), {}, build_network(config, 1)), manifest_of(NAMES, RELATED))

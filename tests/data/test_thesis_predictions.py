"""The outputs of the thesis in ``../shared/data``, where they are: does Time disagree more with Freq or Simple?"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from tonearm.comparison.outputs import OVERALL, agreement, compare_pairs, parse_pair_question, read_outputs
from tonearm.statistics.agreement import disagreement

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "thesis_predictions"
REPRESENTATIONS = {"chroma", "cqt", "mel_scaled_stft", "mfcc", "stft", "stft_halved"}

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no outputs of the thesis: {FOLDER} is not there")


@pytest.fixture(scope="module")
def outputs() -> dict[str, np.ndarray]:
    return read_outputs(str(FOLDER / "predictions.npz"))


def test_every_scored_model_has_its_outputs(outputs: dict[str, np.ndarray]) -> None:
    with (FOLDER / "predictions_scores.csv").open() as file:
        assert {row["model"] for row in csv.DictReader(file)} == set(outputs)
    assert {a.shape for a in outputs.values()} == {(2571, 16)}


def test_the_ensemble_agrees_with_timefreq_most(outputs: dict[str, np.ndarray]) -> None:
    found = agreement(outputs)
    row = found.equal[found.names.index("ENS.all")].copy()
    row[found.names.index("ENS.all")] = 0
    assert found.names[int(row.argmax())].startswith("TimeFreq.")


def test_time_disagrees_a_little_more_with_freq_than_with_simple(outputs: dict[str, np.ndarray]) -> None:
    question = parse_pair_question("Time.*,Freq.*;Time.*,Simple.*", outputs)
    assert set(question.places) == REPRESENTATIONS
    found = {(x.what, x.place): x for x in compare_pairs(question, outputs, "TimeFreq.*")}
    answers = {place: found["members' answers", place] for place in (*REPRESENTATIONS, OVERALL)}
    mel = answers["mel_scaled_stft"]
    assert mel.first == pytest.approx(disagreement(outputs["Time.mel_scaled_stft"], outputs["Freq.mel_scaled_stft"]))
    assert answers[OVERALL].difference.value == pytest.approx(0.015, abs=0.0005) and answers[OVERALL].adjusted < 0.01
    assert {p for p, x in answers.items() if x.adjusted < 0.05} == {"chroma", OVERALL}  # of 28 tests
    # The divergence of their probabilities says the opposite: on the whole it is smaller.
    assert found["members' probabilities (divergence, bits)", OVERALL].difference.high < 0
    # TimeFreq was made of Time and Freq, so their average is the nearer to it everywhere.
    assert all(found["average against TimeFreq.*", p].difference.high < 0 for p in (*REPRESENTATIONS, OVERALL))

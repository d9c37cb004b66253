"""Agreement of stored outputs, with pairs whose disagreement is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from tests.unit.test_comparison_document import Page, cells, markdown_tables
from tonearm.comparison.document import write_document
from tonearm.comparison.outputs import agreement, compare_pairs, parse_pair_question, read_outputs
from tonearm.comparison.outputs_report import outputs_report
from tonearm.core.errors import ConfigError

TRACKS, CLASSES = 400, 5


def outputs() -> dict[str, np.ndarray]:
    """Of two representations: Freq answers 30 % of tracks otherwise than Time, Simple 15 %; of cqt both do 20 %."""
    rng = np.random.default_rng(0)
    found = {}
    for place, shares in (("mel", (0.3, 0.15)), ("cqt", (0.2, 0.2))):
        answer = rng.integers(0, CLASSES, TRACKS)
        found[f"Time.{place}"] = one_hot(answer, 0.8)
        for name, share in zip(("Freq", "Simple"), shares, strict=True):
            other = np.where(np.arange(TRACKS) % 100 < 100 * share, (answer + 1) % CLASSES, answer)
            found[f"{name}.{place}"] = one_hot(other, 0.7)
    return found


def one_hot(answer: np.ndarray, sure: float) -> np.ndarray:
    p = np.full((len(answer), CLASSES), (1 - sure) / (CLASSES - 1))
    p[np.arange(len(answer)), answer] = sure
    return p.astype(np.float32)


def test_matrices_are_of_every_two(tmp_path: Path) -> None:
    given = outputs()
    np.savez(tmp_path / "p.npz", **given)  # type: ignore[arg-type]
    found = agreement(read_outputs(str(tmp_path / "p.npz")))
    assert found.names == list(given) and found.tracks == TRACKS
    i, j = found.names.index("Time.mel"), found.names.index("Freq.mel")
    assert found.equal[i, j] == found.equal[j, i] == pytest.approx(0.7)
    wanted = cohen_kappa_score(given["Time.mel"].argmax(axis=1), given["Freq.mel"].argmax(axis=1))
    assert found.kappa[i, j] == pytest.approx(wanted) and 0 < found.divergence[i, j] < 1
    assert (np.diag(found.equal) == 1).all()


def test_the_pair_that_disagrees_more_is_found() -> None:
    given = outputs()
    found = compare_pairs(parse_pair_question("Time.mel,Freq.mel;Time.mel,Simple.mel", given), given)
    answers = {x.what: x for x in found}["members' answers"]
    assert (answers.first, answers.second) == (pytest.approx(0.3), pytest.approx(0.15))
    assert answers.difference.value == pytest.approx(0.15) and answers.difference.low > 0.1 and answers.p < 0.001


def test_a_star_asks_at_every_place_and_over_all() -> None:
    given = outputs()
    question = parse_pair_question("Time.*,Freq.*;Time.*,Simple.*", given)
    assert question.places == {
        "mel": ("Time.mel", "Freq.mel", "Time.mel", "Simple.mel"),
        "cqt": ("Time.cqt", "Freq.cqt", "Time.cqt", "Simple.cqt"),
    }
    found = {(x.what, x.place): x for x in compare_pairs(question, given, "Simple.*")}
    answers = {place: found["members' answers", place] for place in ("mel", "cqt", "all")}
    assert answers["all"].difference.value == pytest.approx(0.075) and answers["cqt"].difference.value == 0
    assert answers["cqt"].p == 1 and answers["mel"].adjusted >= answers["mel"].p
    ps = sorted(x.p for x in found.values())
    assert min(x.adjusted for x in found.values()) == pytest.approx(min(1, ps[0] * len(ps)))  # one family
    # Time is the surer one: each average answers as it does, and as Freq on 70 %, as Simple on 85 % of the tracks.
    assert found["average against its members", "mel"].first == pytest.approx(0.15)
    against = found["average against Simple.*", "mel"]
    assert (against.first, against.second) == (pytest.approx(0.15), pytest.approx(0.15))


def test_the_report_answers_and_is_well_formed(tmp_path: Path) -> None:
    given = outputs()
    question = parse_pair_question("Time.*,Freq.*;Time.*,Simple.*", given)
    document = outputs_report("p.npz", agreement(given), [(question, compare_pairs(question, given))])
    assert document.summary[0].startswith(
        "Members' answers: Time.* and Freq.* differ more than Time.* and Simple.*: 0.250"
    )
    assert document.summary[0].endswith("; more for mel; not shown to differ for cqt.")
    assert len(document.summary) == 1  # one measure answers; the others stand beside it
    assert any(text.startswith("Average against its members:") for text in document.sections[0].text)
    write_document(document, str(tmp_path))
    assert Page((tmp_path / "comparison.html").read_text("utf-8")).open == []
    for rows in markdown_tables((tmp_path / "comparison.md").read_text("utf-8")):
        assert len({cells(row) for row in rows}) == 1
    assert "each track is its own group" in (tmp_path / "comparison.md").read_text("utf-8")
    alone = outputs_report("p.npz", agreement(given), [])
    assert alone.summary[0].startswith(
        "Most alike are Simple.cqt and Freq.cqt (equal predictions on 100.0% of 400 tracks)"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Time.mel,Freq.mel", "not of the form 'A,B;C,D'"),
        ("Time.mel;Freq.mel", "not of the form"),
        ("Time.mel,Frek.mel;Time.mel,Simple.mel", "unknown output 'Frek.mel'. Did you mean 'Freq.mel'?"),
        ("Time.*,RNN.*;Time.*,Simple.*", "nothing in the place of"),
    ],
)
def test_a_question_that_cannot_be_asked_is_an_error(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_pair_question(text, outputs())
    assert message in str(error.value)


def test_unknown_references_are_errors() -> None:
    given = outputs()
    with pytest.raises(ConfigError, match=r"unknown output 'TimeFreq.mel'"):
        compare_pairs(parse_pair_question("Time.*,Freq.*;Time.*,Simple.*", given), given, "TimeFreq.*")


def test_files_that_hold_no_outputs_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no file .*absent.npz"):
        read_outputs(str(tmp_path / "absent.npz"))
    (tmp_path / "text.npz").write_text("this is no archive")
    with pytest.raises(ConfigError, match=r"is no .npz of plain arrays"):
        read_outputs(str(tmp_path / "text.npz"))
    np.savez(tmp_path / "objects.npz", a=np.array([{}], dtype=object), b=np.zeros((2, 2)))
    with pytest.raises(ConfigError, match=r"is no .npz of plain arrays"):
        read_outputs(str(tmp_path / "objects.npz"))
    np.savez(tmp_path / "one.npz", a=np.zeros((2, 2)))
    with pytest.raises(ConfigError, match=r"holds 1 array\(s\): give the outputs of two models"):
        read_outputs(str(tmp_path / "one.npz"))
    np.savez(tmp_path / "answers.npz", a=np.zeros((2, 2)), b=np.eye(2, dtype=np.int64))
    with pytest.raises(ConfigError, match=r"holds whole numbers \('b' is int64\): give probabilities"):
        read_outputs(str(tmp_path / "answers.npz"))
    np.savez(tmp_path / "shapes.npz", a=np.zeros((2, 2)), b=np.zeros((3, 2)))
    with pytest.raises(ConfigError, match=r"arrays of shapes .*, look at 'b'"):
        read_outputs(str(tmp_path / "shapes.npz"))

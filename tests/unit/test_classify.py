"""``tonearm predict``: one odd file costs no other file's answer, and neither does work that is broken off."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from jobs import predict
from tonearm.core.errors import AudioError, BundleError
from tonearm.core.types import Prediction
from tonearm.inference import Classification
from tonearm.tasks.answers import ClassAnswer

ANSWER = Classification(
    Prediction(("folk", "rock"), np.array([0.25, 0.75], np.float32), np.ones(1, np.float32)),
    ClassAnswer((("rock", 0.75), ("folk", 0.25))),
)


@pytest.fixture
def predicting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Runs the job over four files, the third of which a model fails at with an error."""
    files = [tmp_path / f"{i}.wav" for i in range(4)]
    for file in files:
        file.write_bytes(b"x")
    monkeypatch.setattr(predict, "preflight", lambda **asked: None)

    def run(error: BaseException, *options: str) -> tuple[int, str, str]:
        class Model:
            def classify(self, file: str) -> Classification:
                if file == str(files[2]):
                    raise error
                return ANSWER

        monkeypatch.setattr(import_module("tonearm.inference.loading"), "load", lambda uri: Model())
        app = typer.Typer()
        app.command()(predict.main)
        result = CliRunner().invoke(app, [*map(str, files), "--model", str(tmp_path), *options])
        return result.exit_code, result.stdout, result.stderr

    return run


def test_an_unexpected_error_is_the_reason_of_its_file(predicting: Callable[..., tuple[int, str, str]]) -> None:
    for error in (ValueError("an odd sample"), MemoryError("full"), AudioError("empty", "nothing")):
        code, out, told = predicting(error)
        assert code == 1 and [line.split()[0][-5:] for line in out.splitlines()[1:]] == ["0.wav", "1.wav", "3.wav"]
        name = "empty" if isinstance(error, AudioError) else type(error).__name__
        assert f"2.wav: {name}: " in told and f"set aside: 1 of 4 ({name} 1)" in told
        assert "4/4 files classified" in told


@pytest.mark.parametrize("error", [KeyboardInterrupt(), BundleError("weights are missing")])
def test_answers_are_kept_where_work_is_broken_off(
    error: BaseException, predicting: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, _ = predicting(error)
    assert code == (130 if isinstance(error, KeyboardInterrupt) else 1)
    assert out.startswith("answers of ") and out.count("rock 0.750") == 2
    code, out, _ = predicting(error, "--csv", "--top", "1")
    rows = out.splitlines()
    assert code and rows[0] == "file,rank,label,value"
    assert [row.rpartition("/")[2] for row in rows[1:]] == ["0.wav,1,rock,0.75", "1.wav,1,rock,0.75"]

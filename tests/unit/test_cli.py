"""The command ``tonearm``: what it lists, what it imports, and with which code it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.cli import COMMANDS, build
from tonearm.workflows.job_processes import job_name
from tonearm.workflows.submit import runtime_env

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "ray", "mlflow", "pandas", "numpy", "sklearn", "matplotlib")
NO_COMMANDS = {"__init__", "arguments", "cli", "common", "known_names", "label_options"}

CALL = """
import json, sys
from jobs.cli import build
codes = []
for arguments in json.loads(sys.argv[1]):
    try:
        build(arguments)(arguments, prog_name="tonearm")
    except SystemExit as end:
        codes.append(end.code)
print()
print(json.dumps([codes, [name for name in json.loads(sys.argv[2]) if name in sys.modules]]))
"""


def call(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": f"{ROOT / 'platform'}{os.pathsep}{ROOT}", "COLUMNS": "120", "TERM": "dumb"}
    return subprocess.run([sys.executable, *arguments], cwd=folder, env=env, capture_output=True, text=True)


def test_every_job_is_a_command() -> None:
    jobs = {path.stem for path in (ROOT / "jobs").glob("*.py")} - NO_COMMANDS
    assert {module for module, _ in COMMANDS.values()} == jobs


@pytest.mark.integration
@pytest.mark.parametrize("command", COMMANDS)
def test_help_and_a_wrong_argument_import_nothing_heavy(command: str, tmp_path: Path) -> None:
    calls = [[command, "--help"], [command, "--no-such-option"]]
    done = call("-c", CALL, json.dumps(calls), json.dumps(HEAVY), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    codes, loaded = json.loads(done.stdout.splitlines()[-1])
    assert codes == [0, 2] and loaded == []
    assert f"Usage: tonearm {command}" in done.stdout and "No such option: --no-such-option" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.integration
def test_list_of_commands_imports_no_job(tmp_path: Path) -> None:
    jobs = [f"jobs.{module}" for module, _ in COMMANDS.values()]
    calls = [["--help"], [], ["swep"], ["--version"]]
    done = call("-c", CALL, json.dumps(calls), json.dumps([*HEAVY, *jobs]), folder=tmp_path)
    codes, loaded = json.loads(done.stdout.splitlines()[-1])
    assert codes == [0, 2, 2, 0] and loaded == []
    assert all(f"{name} " in done.stdout and line in done.stdout for name, (_, line) in COMMANDS.items())
    assert "No such command 'swep'. Did you mean 'sweep'?" in done.stderr
    assert "tonearm 0.1.0" in done.stdout


@pytest.mark.integration
def test_submit_refuses_before_ray_is_imported(tmp_path: Path) -> None:
    calls = [["submit", "--home", "/shared", "swep"], ["submit", "--home", "relative", "sweep"]]
    done = call("-c", CALL, json.dumps(calls), json.dumps(HEAVY), folder=tmp_path)
    assert json.loads(done.stdout.splitlines()[-1]) == [[1, 1], []]
    assert "'jobs.swep' is no job" in done.stderr and "home is 'relative'" in done.stderr


def test_installed_packages_are_sent_without_what_lies_beside_them(tmp_path: Path) -> None:
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "runtime_env.yaml").write_text((ROOT / "infra" / "runtime_env.yaml").read_text())
    sent = runtime_env(tmp_path, "/shared")
    assert sent["py_modules"] == [str(tmp_path / p) for p in ("tonearm", "jobs", "search_spaces", "serve")]
    assert "working_dir" not in sent and sent["env_vars"]["TONEARM_HOME"] == "/shared"
    assert runtime_env(ROOT, "/shared")["working_dir"] == str(ROOT)


@pytest.mark.integration
def test_module_of_a_job_still_runs_alone_and_says_its_own_name(tmp_path: Path) -> None:
    done = call("-m", "jobs.ls", "--no-such-option", folder=tmp_path)
    assert done.returncode == 2 and "Usage: python -m jobs.ls" in done.stderr


@pytest.mark.integration
def test_a_space_of_the_current_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("print('imported')\n")
    lines = ("import sys, jobs.cli", "sys.argv[1:] = ['--version']", "try: jobs.cli.main()", "finally: import mine")
    script = tmp_path / "bin" / "run.py"  # as a console script: its own folder comes first, not the current one
    script.parent.mkdir()
    script.write_text("\n".join(lines))
    done = call(str(script), folder=tmp_path)
    assert done.stdout.splitlines() == ["tonearm 0.1.0", "imported"]


def test_home_without_anything_says_what_to_do_first(capsys: pytest.CaptureFixture[str], tonearm_home: Path) -> None:
    for command, told in (("ls", "tonearm extract"), ("status", "nothing runs here now")):
        with pytest.raises(SystemExit) as end:
            build([command])([command])
        out = capsys.readouterr().out
        assert end.value.code == 0 and told in out and str(tonearm_home) in out
    assert not tonearm_home.exists(), "looking made something"


def test_label_of_no_recordings_is_refused_before_the_demo_starts(
    capsys: pytest.CaptureFixture[str], tonearm_home: Path
) -> None:
    arguments = ["demo", "--label", "genre"]
    with pytest.raises(SystemExit) as end:
        build(arguments)(arguments)
    assert end.value.code == 1 and "--label genre is for recordings" in capsys.readouterr().err
    assert not tonearm_home.exists()


@pytest.mark.integration
def test_what_is_not_there_is_named_before_anything_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "song.mp3").write_bytes(b"x")
    told = {
        "recommend --dataset nowhere": "--dataset nowhere: no such data set",
        "predict song.mp3 --model nothing": "model nothing: no such folder",
        "extract --dataset foldr": "unknown data set 'foldr'. Did you mean 'folder'?",
        "extract --dataset folder --audio absent": "--audio absent is no folder",
        "train --recipe time_mel --dataset foldr": "unknown data set 'foldr'",
        "train --recipe time_mel --data absent": "--data absent is no folder",
        "sweep": "name a search space",
        "sweep demo --dataset nowhere": "there is no manifest of a data set 'nowhere'",
        "sweep demo --dataset foldr --data .": "unknown data set 'foldr'",
        "sweep demo --dataset folder --data absent": "--data absent is no folder",
        "sweep demo --dataset scores --warm-start nobody": "no run whose id or name is or begins with 'nobody'",
        "select noone": "no run whose id or name is or begins with 'noone'; there are no runs yet",
        "select": "name a sweep or training; with --rollback a data set",
        "compare anyone": "no run whose id or name is or begins with 'anyone'",
    }
    calls = [line.split() for line in told]
    done = call("-c", CALL, json.dumps(calls), json.dumps(HEAVY), folder=tmp_path)
    assert json.loads(done.stdout.splitlines()[-1]) == [[1] * len(told), []]
    assert [text for text in told.values() if text not in done.stderr] == []
    assert [path.name for path in tmp_path.iterdir()] == ["song.mp3"]


def test_unknown_recipe_and_space_are_told_alike_and_the_second_time_at_once(tmp_path: Path) -> None:
    calls = [["train", "--recipe", "time_mell"], ["train", "--recipe", "zzz"], ["sweep", "demoo"]]
    first, second = (call("-c", CALL, json.dumps(calls), json.dumps(HEAVY), folder=tmp_path) for _ in range(2))
    assert json.loads(second.stdout.splitlines()[-1]) == [[1, 1, 1], []]
    assert "torch" in first.stdout, "the first time there is no list of names yet"
    assert first.stderr == second.stderr and "unknown search space 'demoo'. Did you mean 'demo'?" in first.stderr
    assert "Of your own? Name its module" in first.stderr


def test_missing_file_is_named_before_a_model_is_loaded(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ["predict", str(tmp_path / "no.mp3"), "--model", "nowhere"]
    with pytest.raises(SystemExit) as end:
        build(arguments)(arguments)
    assert end.value.code == 1 and "no.mp3: no such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "job"),
    [
        ("/venv/bin/python -m jobs.sweep demo", "sweep"),
        ("python3.11 -u -m jobs.cli train --recipe time_mel", "train"),
        ("/venv/bin/python /venv/bin/tonearm extract --dataset scores", "extract"),
        ("python jobs/extract.py --dataset folder", "extract"),
        ("python3 -u /work/jobs/sweep.py demo", "sweep"),
        ("python jobs.py", ""),
        ("nice python -m jobs.sweep demo", ""),  # its child is the job
        ("python -m pytest -m jobs.sweep", ""),
        ("grep tonearm sweep", ""),
    ],
)
def test_job_of_a_process_is_read_from_its_command_line(line: str, job: str) -> None:
    assert job_name(line.split()) == job

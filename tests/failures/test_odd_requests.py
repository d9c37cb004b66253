"""Requests that cannot work, or only on one machine, are refused with what could be asked instead."""

from __future__ import annotations

import math
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

from tonearm.comparison.document import Document, to_markdown
from tonearm.core import home
from tonearm.core.errors import ConfigError
from tonearm.core.precision import require_device
from tonearm.recommend.factors import LatentFactors, evaluate_factors
from tonearm.statistics.intervals import bootstrap_interval
from tonearm.tracking import moved_home
from tonearm.tracking.pages import LOCAL, run_page, web_server
from tonearm.workflows.preflight import preflight
from tonearm.workflows.prepare import require_dataset_name
from tonearm.workflows.ray_address import check_ray_address


def test_relative_out_is_no_home_of_a_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from jobs import extract

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    with pytest.raises(ConfigError, match=r"--out is 'music' in a job on a cluster"):
        check_ray_address("music")
    with pytest.raises(SystemExit) as end:
        extract.main("scores", out="music")
    assert end.value.code == 1 and os.environ[home.HOME] != str(tmp_path / "music")
    check_ray_address(str(tmp_path))
    check_ray_address("s3://bucket/music")


def test_default_cache_is_ones_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(home.CACHE)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    home._own_cache.cache_clear()
    cache = Path(home.node_cache())
    assert cache == tmp_path / f"tonearm-cache-{os.getuid()}" and cache.stat().st_mode & 0o777 == 0o700
    elsewhere = tmp_path / "elsewhere"
    cache.rename(elsewhere)
    cache.symlink_to(elsewhere)  # as somebody else could
    home._own_cache.cache_clear()
    fresh = Path(home.node_cache())
    assert fresh not in (cache, elsewhere) and fresh.parent == tmp_path and fresh.stat().st_mode & 0o777 == 0o700
    assert home.node_cache() == str(fresh), "one a process"
    home._own_cache.cache_clear()


def test_cache_that_cannot_be_made_is_a_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(home.CACHE, str(tmp_path / "file" / "cache"))
    monkeypatch.setenv(home.HOME, str(tmp_path))
    monkeypatch.delenv(home.TRACKING, raising=False)
    with pytest.raises(ConfigError, match=r"TONEARM_CACHE is .*/file/cache, where nothing can be written"):
        preflight()
    monkeypatch.delenv("MPLCONFIGDIR", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match=r"TONEARM_CACHE is .*/file/cache, where no folder can be made"):
        preflight(writes=False)
    assert moved_home._only_looking
    monkeypatch.setattr(moved_home, "_only_looking", False)


def test_statistic_that_is_not_defined_has_no_interval() -> None:
    values = np.array([1.0, math.nan, 2.0, 3.0])
    for bounds in ((-math.inf, math.inf), (0.0, 4.0)):
        with pytest.raises(ConfigError, match="the statistic is not finite for"):
            bootstrap_interval(lambda i: float(values[i].mean()), ["a", "b", "c", "d"], resamples=50, bounds=bounds)


@pytest.mark.parametrize("name", ["../x", "a/b", ".", "..", " ", "a\nb", "a\x1b[1m", "a\\b", "/tmp/x"])
def test_name_that_is_no_folder(name: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot be one of a folder: give .* such as [\w-]+$"):
        require_dataset_name(name)


@pytest.mark.parametrize("name", ["", "music", "My Music 2", "música", "a.b"])
def test_name_that_is_one(name: str) -> None:
    require_dataset_name(name)


def test_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    require_device("cuda")
    require_device("cuda:0")
    with pytest.raises(ConfigError, match="'cuda:9': torch sees 1 GPU here; use cuda:0"):
        require_device("cuda:9")


def test_factors_of_a_single_user() -> None:
    rng = np.random.default_rng(0)
    train, held_out = scipy.sparse.lil_matrix((3, 6)), scipy.sparse.lil_matrix((3, 6))
    train[:, 0] = held_out[0, 1] = 1
    factors = LatentFactors(rng.random((3, 2), np.float32), rng.random((6, 2), np.float32))
    one = evaluate_factors(factors, train.tocsr(), held_out.tocsr(), k=2, resamples=20)
    assert (one.factors.recall.low, one.factors.recall.high, one.gain.low, one.gain.high) == (0, 1, -1, 1)
    held_out[1, 2] = held_out[2, 3] = 1
    some = evaluate_factors(factors, train.tocsr(), held_out.tocsr(), k=2, resamples=20)
    for found in (some.factors.recall, some.chance.ndcg, some.popularity.average_precision):
        assert 0 <= found.low <= found.value <= found.high <= 1
    assert -1 <= some.gain.low <= some.gain.value <= some.gain.high <= 1


def test_marks_of_markdown_are_letters() -> None:
    assert r"# my\_[mix]\_(a)" in to_markdown(Document("my_[mix]_(a)", [], []))
    assert r"# [mix\](a) and [mix\][a]" in to_markdown(Document("[mix](a) and [mix][a]", [], []))


def test_page_is_on_the_server_that_was_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(home.TRACKING, raising=False)
    assert web_server() == LOCAL and run_page("1", "a", web_server()).startswith(f"{LOCAL}/#/experiments/1/runs/a?")
    monkeypatch.setenv(home.TRACKING, "https://me:secret@host:5000/")
    assert web_server() == "https://host:5000"

"""What an answer costs: decoding once a clip, a representation once a clip, and each network."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.selecting import make_manifest, train_sweep
from tonearm.core import home
from tonearm.core.errors import ConfigError, JobError
from tonearm.inference.cost import total_cost
from tonearm.workflows import trial_costs
from tonearm.workflows.select import select
from tonearm.workflows.sweep_result import Sweep
from tonearm.workflows.trial_costs import TrialCosts
from tonearm.workflows.trial_library import library_of_sweep

pytestmark = pytest.mark.usefixtures("database")

ALIKE = {"optim.lr": 1e-2, "optim.epochs": 1}
TRIALS = (ALIKE, {**ALIKE, "seed": 1}, {**ALIKE, "feature.n_fft": 1024}, {**ALIKE, "clip.seconds": 1.2})


@pytest.fixture(scope="module")
def swept(one_home: Path) -> Sweep:
    """Two trials that hear the same, one of another representation, and one of another clip."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TONEARM_HOME", str(one_home))
        return train_sweep(make_manifest(one_home / "music", "costly", per_class=6), TRIALS, "c1")


def test_what_networks_hear_together_is_one_part(swept: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = list[str]()
    for name in ("decoding_cost", "feature_cost", "network_cost"):
        measure = getattr(trial_costs, name)
        monkeypatch.setattr(trial_costs, name, lambda *a, n=name, m=measure: (measured.append(n), m(*a))[1])
    costs = TrialCosts(library_of_sweep(swept))
    one, same, other_feature, other_clip = costs(swept.results)
    assert sorted(measured) == ["decoding_cost"] * 2 + ["feature_cost"] * 3 + ["network_cost"] * 4
    assert all(cost > 0 for parts in (one, same, other_feature, other_clip) for cost in parts.values())
    kinds = [sorted({name[0] for name in set(one) & set(parts)}) for parts in (same, other_feature, other_clip)]
    assert kinds == [["decoding", "feature"], ["decoding"], []]
    network = next(cost for name, cost in same.items() if name[0] == "network")
    assert total_cost([one, same]) == pytest.approx(total_cost([one]) + network)
    assert total_cost([one, other_clip]) == pytest.approx(total_cost([one]) + total_cost([other_clip]))
    assert costs(swept.results[:1]) == [one] and len(measured) == 9, "each is measured once"


def test_costs_are_measured_where_features_were_deleted(
    swept: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(home, "features_home", lambda: str(tmp_path))
    first, last = TrialCosts(library_of_sweep(swept))([swept.results[0], swept.results[2]])
    assert len(first) == len(last) == 3


def test_where_recordings_are_gone_costs_are_of_networks_and_no_limit_is_kept_in_silence(swept: Sweep) -> None:
    library = library_of_sweep(swept)
    gone = Path(library.manifest.of("validation")[0].source)
    away = gone.rename(gone.with_suffix(".away"))
    try:
        costs = TrialCosts(library)
        assert [len(parts) for parts in costs(swept.results[:2])] == [1, 1]
        (note,) = costs.notes
        assert note.startswith("costs are of networks alone: recordings cannot be heard here (") and gone.name in note
        with pytest.raises(JobError, match="put them back, or select without a limit of milliseconds"):
            TrialCosts(library, whole=True)(swept.results[:1])
    finally:
        away.rename(gone)


def test_a_limit_counts_decoding_and_features(swept: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    decode = trial_costs.decoding_cost
    monkeypatch.setattr(trial_costs, "decoding_cost", lambda *a: (60_000.0, decode(*a)[1]))  # a slow machine
    with pytest.raises(ConfigError, match=r"of 4 networks costs 6.* ms a track, decoding and features included"):
        select(swept, max_milliseconds=50_000)

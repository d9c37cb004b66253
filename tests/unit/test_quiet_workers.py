"""What we set of Ray Data and of torch for our own work is undone after it: a notebook may use them, too."""

from __future__ import annotations

import logging
import os

import pytest
import ray.data
import torch

from tonearm.core.threads import torch_threads
from tonearm.pipelines.workers import quiet_ray_data


@pytest.mark.parametrize("bars", [True, False])
def test_ray_data_is_as_before_when_the_work_is_done_or_fails(bars: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    context, logger = ray.data.DataContext.get_current(), logging.getLogger("ray.data")
    monkeypatch.setattr(context, "enable_progress_bars", bars)
    before = context.enable_progress_bars, context.print_on_execution_start, logger.level
    with pytest.raises(KeyboardInterrupt), quiet_ray_data():
        assert not context.enable_progress_bars and logger.level == logging.CRITICAL
        raise KeyboardInterrupt
    assert before == (context.enable_progress_bars, context.print_on_execution_start, logger.level)


def test_a_training_has_its_threads_whatever_starting_ray_left() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        with torch_threads(3):
            assert torch.get_num_threads() == 3
        with torch_threads(0):
            assert torch.get_num_threads() == os.cpu_count()
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)

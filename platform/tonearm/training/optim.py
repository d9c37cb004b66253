"""Optimisers and schedules."""

from __future__ import annotations

import math

import torch

from tonearm.training.config import OptimConfig


def build_optimizer(model: torch.nn.Module, config: OptimConfig) -> torch.optim.Optimizer:
    """Adam over all trainable parameters; the fused form updates them in one pass over memory."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return torch.optim.Adam(parameters, lr=config.lr, weight_decay=config.weight_decay, fused=True)


def learning_rate(config: OptimConfig, step: int, total: int) -> float:
    """The rate of a step, of ``total`` steps in all epochs."""
    if config.schedule == "cosine":
        return config.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, step / max(1, total))))
    return config.lr

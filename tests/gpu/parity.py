"""Whether the card gives what the CPU gives: every representation, every network."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tests.encoder_files import PATCH, RATE, statistics_encoder, torchscript
from tests.gpu.data import sound
from tests.gpu.device import Sizes
from tests.gpu.report import Report
from tests.unit.model_examples import EXAMPLES, Example
from tonearm.core.precision import float32_products
from tonearm.features.base import Representation
from tonearm.features.batched import extract_batch
from tonearm.features.engine import compute
from tonearm.features.frozen import EncoderOutput
from tonearm.features.presets import PRESETS
from tonearm.models import ModelConfig
from tonearm.training.logits import on_device

#: Of logits and of gradients, over the largest of them: float32 sums in another order, also through normalisations of
#: a batch of four, which amplify it.
LOGITS, GRADIENTS = 1e-3, 1e-2


def tolerance(config: Representation) -> float:
    """By how much a batched execution may differ from the CPU's, in the representation's unit."""
    return {"cqt": 0.05, "chroma": 0.01, "contrast": 1e-3, "waveform": 0.0}.get(config.kind, 0.02)


def representations(report: Report, device: str, sizes: Sizes) -> None:
    """Batches of clips of three lengths against one clip after the other on the CPU."""
    for name in report.in_time(PRESETS):
        config = PRESETS[name]
        with report.row(name):
            lengths = (sizes.seconds / 10 + 0.31, sizes.seconds / 10 + 1.07, 0.05)
            waveforms = [sound(s, config.sample_rate, config.planes, i) for i, s in enumerate(lengths)]
            found = extract_batch([{config.layout: w} for w in waveforms], [config], device)
            pairs = [(ours.whole, compute(w, [config])[0].whole) for (ours,), w in zip(found, waveforms, strict=True)]
            same = all(a.shape == b.shape for a, b in pairs)
            off = largest(np.abs(a - b).max() for a, b in pairs) if same else np.inf
            unit = " dB" if config.unit == "dB" else ""
            report.check(name, off, tolerance(config), unit)


def encoders(report: Report, device: str, sizes: Sizes) -> None:
    """A frozen encoder's patches of clips of three lengths, in one batch on the device."""
    name = "frozen encoder"
    with report.row(name), tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        layers = (nn.Unflatten(1, (1, PATCH)), nn.Conv1d(1, 32, 200, stride=10), nn.ReLU(), nn.AdaptiveAvgPool1d(1),
                  nn.Flatten())  # fmt: skip
        file = torchscript(Path(folder) / "encoder.pt", nn.Sequential(*layers))
        encoder = statistics_encoder(file, patches=40, outputs=(EncoderOutput(name="0", dim=32),))
        waveforms = [sound(s, RATE, 1, i) for i, s in enumerate((sizes.seconds / 10, sizes.seconds / 10 + 1.07, 0.05))]
        found = extract_batch([{encoder.layout: w} for w in waveforms], [encoder], device)
        wanted = [compute(w, [encoder])[0].values for w in waveforms]
        off = largest(np.abs(ours.values - own).max() for (ours,), own in zip(found, wanted, strict=True))
        report.check(name, off, 1e-4 * float(np.abs(np.concatenate(wanted)).max()))


def networks(report: Report, device: str) -> None:
    """Logits and gradients of each registered network of the same weights on the same batch, without dropout."""
    for name in report.in_time(sorted(ModelConfig.registry)):
        with report.row(name):
            if name not in EXAMPLES:
                raise KeyError(f"{name!r} has no example in tests/unit/model_examples.py")
            with float32_products():
                wanted, ours = (_pass(name, EXAMPLES[name], place) for place in ("cpu", device))
            logits = _off(ours[0], wanted[0])
            scale = largest([*(float(g.abs().max()) for g in wanted[1].values())] or [1.0])  # of what is solved, none
            missing = ours[1].keys() ^ wanted[1].keys()
            gradient = (
                largest([*(float((ours[1][n] - g).abs().max()) for n, g in wanted[1].items() if n in ours[1])] or [0.0])
                / scale
            )
            ok = logits <= LOGITS and gradient <= GRADIENTS and not missing
            text = f"logits off by {logits:.2g} (allowed {LOGITS:g}), gradients by {gradient:.2g} ({GRADIENTS:g})"
            report.add(name, "ok" if ok else "FAILED", text, logits=logits, gradients=gradient)


def largest(values: Iterable[float]) -> float:
    """The largest of some values, NaN if one is: Python's ``max`` may pass over it."""
    return float(np.max(list(values)))


def _pass(name: str, example: Example, device: str) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Logits and gradients in training."""
    network = example.build(name).train()
    for module in network.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0  # which a card draws otherwise
    network = network.to(device)
    logits = network(on_device(example.batch(4), device))
    if not example.solved:
        nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 3], device=device)).backward()
    gradients = {n: p.grad.cpu() for n, p in network.named_parameters() if p.grad is not None}
    return logits.detach().cpu(), gradients


def _off(ours: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((ours - wanted).abs().max() / wanted.abs().max())

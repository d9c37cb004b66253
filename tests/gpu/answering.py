"""What a recording costs a server with a card: alone, and several together."""

from __future__ import annotations

import numpy as np
import torch

from tests.gpu.data import CLASSES, data_set, sound
from tests.gpu.device import Sizes, seconds_of
from tests.gpu.report import Report
from tonearm.core.precision import float32_products
from tonearm.core.types import Waveform
from tonearm.ensembles.bundle import Ensemble
from tonearm.features import Cqt, Mel
from tonearm.features.base import Representation
from tonearm.features.batched import extract_batch
from tonearm.inference.classify import Classifier
from tonearm.inference.member import member_windows
from tonearm.models import ModelConfig
from tonearm.models.base import in_chunks
from tonearm.training.bundle import Bundle, build_network

CLOSE = 1e-2  # of probabilities: features may differ by hundredths of a decibel
TOGETHER = 8


def answers(report: Report, device: str, sizes: Sizes) -> None:
    """A decoded recording, answered on the device and on the CPU: how far apart, how many times faster; and so many
    together, features and windows in one batch each."""
    features: dict[str, Representation] = {"mel": Mel(n_mels=sizes.bands), "cqt": Cqt()}
    ways = [(model, name) for model in sizes.loops for name in features]
    for model, name in report.in_time(ways, lambda way: f"{way[0].kind}, {way[1]}"):
        with report.row(f"{model.kind}, {name}"):
            _answer(report, f"{model.kind}, {name}", _bundle(model, features[name], sizes), device, sizes)


def _answer(report: Report, row: str, bundle: Bundle, device: str, sizes: Sizes) -> None:
    feature = bundle.config.representation
    waveforms = [sound(sizes.seconds, feature.sample_rate, feature.planes, i) for i in range(TOGETHER)]
    on_cpu = Classifier(Ensemble((bundle,), (1.0,), {}, (1.0,)))
    wanted = on_cpu.predict_waveform(waveforms[0]).probabilities
    cpu = seconds_of(lambda: on_cpu.predict_waveform(waveforms[0]), "cpu", 2, 3)
    classifier = Classifier(on_cpu.ensemble, f"{device}:0")
    off = float(np.abs(classifier.predict_waveform(waveforms[0]).probabilities - wanted).max())
    alone = seconds_of(lambda: classifier.predict_waveform(waveforms[0]), device, sizes.steps, sizes.repetitions)
    several = seconds_of(lambda: _together(classifier, waveforms), device, 2, sizes.repetitions) / TOGETHER
    text = (
        f"{alone * 1e3:.1f} ms, {cpu / alone:.1f} x the CPU; {TOGETHER} together {several * 1e3:.1f} ms each; "
        f"off by {off:.2g} (allowed {CLOSE:g})"
    )
    values = {"alone_ms": alone * 1e3, "cpu_ms": cpu * 1e3, "together_ms": several * 1e3, "off": off}
    report.add(row, "ok" if off <= CLOSE else "FAILED", text, **values)


def _bundle(model: ModelConfig, feature: Representation, sizes: Sizes) -> Bundle:
    config = data_set(model, sizes).config.replace(
        {"feature": feature, "window.frames": min(sizes.frames, round(sizes.seconds * 20))}
    )
    torch.manual_seed(0)
    return Bundle(config, CLASSES, {}, build_network(config, len(CLASSES)).eval())


def _together(classifier: Classifier, waveforms: list[Waveform]) -> torch.Tensor:
    """Logits of the windows of several recordings, in one batch."""
    from tonearm.features.normalisation import half_precision
    from tonearm.features.store import StoredClip

    (member,), features = classifier.ensemble.members, list(classifier.features.values())
    computed = extract_batch([{f.layout: w for f in features} for w in waveforms], features, classifier.device)
    stored = [
        {name: [StoredClip(half_precision(c.values), c.statistics(), 0, 0.0)]
         for name, c in zip(classifier.features, clip, strict=True)} for clip in computed
    ]  # fmt: skip
    windows = [member_windows(member, track) for track in stored]
    with torch.inference_mode(), float32_products():
        return in_chunks(member.network, torch.cat(windows)).cpu()  # type: ignore[arg-type]  # one input

"""Frozen encoders: networks that somebody has trained on much music, whose outputs are a representation like any other.

A clip's input, the waveform or another representation, is cut into patches; the encoder makes one vector of each. What
it is, is its file's SHA-256: :mod:`.weight_files` finds the file, :mod:`.encoders` reads and runs it.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from tonearm.core.config import RUN_ONLY, Config
from tonearm.core.types import FloatArray, InputSpec
from tonearm.features.base import Representation
from tonearm.features.derived import Derived, repeated
from tonearm.features.summaries import SHORTEST_SECONDS
from tonearm.features.weight_files import find_file

#: What an encoder takes, by its axes: of the waveform (patches, samples), of others (patches, frames, rows),
#: (patches, rows, frames) or (patches, 1, rows, frames).
Order = Literal["samples", "frames_rows", "rows_frames", "planes_rows_frames"]
SHA256 = re.compile(r"[0-9a-f]{64}")
FETCHED = ("musicnn",)  # encoders that a command fetches, see :mod:`.weights`


class EncoderOutput(Config):
    """One of an encoder's outputs.

    Attributes
    ----------
    name
        Of a dictionary its key, of a tuple the place, "0", "1", ...; of ONNX the output's name.
    dim
        Numbers that it gives of a patch. Of an output of several steps, (patches, steps, dim), the mean is taken.
    """

    name: str
    dim: int


class Frozen(Derived, kind="frozen"):
    """What a frozen encoder makes of evenly spread patches of a clip: a row a number, a frame a patch.

    TorchScript and ONNX files are run, see :mod:`.encoders`.

    Attributes
    ----------
    of
        The encoder's input, which also gives the sample rate: ``RawWaveform(sample_rate=16000)``, ``Mel(...)``.
    sha256
        Of its file, 64 hexadecimal characters: its identity. "" of a known encoder whose file is not here yet.
    patch
        Frames of the input that it takes at once; a waveform has a frame a sample.
    patches
        How many of a clip, the first at its beginning, the last at its end; they may overlap. A shorter clip is
        repeated up to one patch.
    outputs
        Whose numbers are put one behind the other.
    order
        Of the input's axes.
    name
        Under which it is registered.
    file
        Path or URI where it lies, if not among the home's weights; what lies there must not change.
    licence
        Under which its authors have published it.
    """

    outputs: tuple[EncoderOutput, ...]
    patch: int
    patches: int = 5
    order: Order = "samples"
    sha256: str = ""
    name: str = dataclasses.field(default="", metadata=RUN_ONLY)
    file: str = dataclasses.field(default="", metadata=RUN_ONLY)
    licence: str = dataclasses.field(default="", metadata=RUN_ONLY)

    def problems(self) -> list[str]:
        found = super().problems()
        found += [f"{n} is {getattr(self, n)}: it must be at least 1" for n in ("patch", "patches")
                  if getattr(self, n) < 1]  # fmt: skip
        if self.sha256 and not SHA256.fullmatch(self.sha256):
            found.append(f"sha256 is {self.sha256!r}: it has 64 characters, 0-9 and a-f, as sha256sum writes them")
        names = [output.name for output in self.outputs]
        if not names or len(names) > len(set(names)):
            found.append(f"outputs are {', '.join(names) or 'none'}: name at least one, each once")
        found += [f"output {o.name!r} has dim {o.dim}: it must be at least 1" for o in self.outputs if o.dim < 1]
        if self.of.planes > 1:
            found.append(f"an encoder hears one channel, {self.of.kind} has {self.of.planes}: set of.channels to 1")
        elif self.order == "samples" and self.of.freq_bins > 1:
            found.append(
                f"order is 'samples', but {self.of.kind} has {self.of.freq_bins} rows: choose 'frames_rows', "
                "'rows_frames' or 'planes_rows_frames'"
            )
        return found

    @property
    def label(self) -> str:
        """What to call it in messages."""
        return self.name or (f"encoder {self.sha256[:12]}" if self.sha256 else "encoder")

    @property
    def freq_bins(self) -> int:
        return sum(output.dim for output in self.outputs)

    def frames_from(self, samples: int) -> int:
        return self.patches

    def seconds_of(self, frames: int) -> float:
        return SHORTEST_SECONDS

    @property
    def is_whole(self) -> bool:
        return True

    def example_spec(self, frames: int) -> InputSpec:
        return InputSpec(1, self.freq_bins, self.patches)

    def notes(self) -> tuple[str, ...]:
        said = f"{self.label} is a frozen encoder of others' training; licence: {self.licence or 'not stated'}"
        return (*self.of.notes(), said)

    def path(self) -> Path:
        """Its file on this machine; one that lies elsewhere is copied once.

        Raises
        ------
        ConfigError
            If it is not there, or another; the message says where it must lie.
        """
        fetch = f"tonearm weights {self.name}" if self.name in FETCHED else "tonearm weights add FILE --name ..."
        return find_file(self.label, self.sha256, self.file, self.licence, fetch)

    def derive(self, values: FloatArray) -> FloatArray:
        return self.derive_batch([values], "cpu")[0]

    def derive_batch(self, clips: Sequence[FloatArray], device: str) -> list[FloatArray]:
        from tonearm.features.encoders import encode, load_encoder  # lazy: torch

        given = np.concatenate([self.ordered(patches_of(values, self.patch, self.patches)) for values in clips])
        run = load_encoder(str(self.path()), self.sha256, device)
        sizes = {output.name: output.dim for output in self.outputs}
        vectors = encode(self.label, run, sizes, given).reshape(len(clips), self.patches, self.freq_bins)
        return [np.ascontiguousarray(clip.T) for clip in vectors]

    def ordered(self, patches: FloatArray) -> FloatArray:
        """Patches (patches, rows, frames) with the encoder's axes."""
        if self.order == "samples":
            return patches[:, 0]
        if self.order == "frames_rows":
            return patches.transpose(0, 2, 1)
        return patches if self.order == "rows_frames" else patches[:, None]


def patches_of(values: FloatArray, length: int, count: int) -> FloatArray:
    """Evenly spread patches of a clip (rows, frames): (count, rows, length), from its beginning to its end."""
    enough = repeated(values, length)
    last = enough.shape[-1] - length
    starts = [last // 2] if count == 1 else [round(last * i / (count - 1)) for i in range(count)]
    return np.stack([enough[:, start : start + length] for start in starts])


def encoders_in(feature: Representation) -> list[Frozen]:
    """The frozen encoders that a representation is computed by."""
    own = [feature] if isinstance(feature, Frozen) else []
    return own + (encoders_in(feature.of) if isinstance(feature, Derived) else [])

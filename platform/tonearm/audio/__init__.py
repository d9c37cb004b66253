"""From bytes to samples: decoding, resampling, channels, windows, tags, and the validation of samples."""

from tonearm.audio.decode import decode
from tonearm.audio.windows import ClipConfig, load_clip, window_starts

__all__ = ["ClipConfig", "decode", "load_clip", "window_starts"]

"""From bytes to samples: decoding, resampling, channels, windows, tags, and the one gate for audio."""

from tonearm.audio.decode import decode
from tonearm.audio.windows import ClipConfig, load_clip, window_starts

__all__ = ["ClipConfig", "decode", "load_clip", "window_starts"]

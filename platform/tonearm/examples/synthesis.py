"""MIDI to audio: thirty seconds of one grand piano, looped where the music is shorter, all at one loudness.

Every score is played by the same instrument, without the pan, volume and program changes that its notation software
wrote: those identify who typed a score, and a classifier would learn them instead of the music.
"""

from __future__ import annotations

import importlib.util
import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from tonearm.core.errors import AudioError, DatasetError

SAMPLE_RATE = 22050  # Hz
SOUNDFONT = "TimGM6mb.sf2"  # GPL-2.0, shipped inside the pretty_midi package
LEVEL = 10 ** (-22 / 20)  # RMS: at equal peaks a lone fiddle tune is 5 dB louder than six slow voices
HIGHEST_PEAK = 10 ** (-1 / 20)  # -1 dBFS
SHORTEST_MUSIC_SECONDS = 2.0
INAUDIBLE_PEAK = 1e-4  # -80 dBFS
TICKS_PER_BEAT = 960
MICROSECONDS_PER_BEAT = 500_000
TICKS_PER_SECOND = TICKS_PER_BEAT * 1_000_000 // MICROSECONDS_PER_BEAT


@dataclass(frozen=True, order=True)
class Note:
    """One key pressed: onset and release in seconds, MIDI pitch and velocity (1..127)."""

    start: float
    end: float
    pitch: int
    velocity: int


@dataclass(frozen=True)
class RenderedAudio:
    """Audio of a score.

    Attributes
    ----------
    audio
        FLAC bytes: mono, 22 050 Hz, 16 bit, RMS -22 dBFS (less where the peak would pass -1 dBFS).
    looped
        Whether the music was shorter than the audio and was repeated.
    seconds_of_music
        Of the score itself within the audio, before any repetition.
    """

    audio: bytes
    looped: bool
    seconds_of_music: float


def read_notes(midi: bytes) -> list[Note]:
    """The notes of a Standard MIDI File in order of onset, all tracks together, tempo changes resolved.

    Raises
    ------
    AudioError
        ``unrenderable`` if the bytes are no MIDI file.
    """
    import mido  # type: ignore[import-untyped]
    from mido.midifiles.meta import KeySignatureError  # type: ignore[import-untyped]

    try:
        file = mido.MidiFile(file=io.BytesIO(midi), clip=True)
        messages = list(file)  # tracks merged, times in seconds since the message before
    except (OSError, EOFError, ValueError, LookupError, TypeError, KeySignatureError) as error:
        raise AudioError("unrenderable", f"{len(midi)} bytes are no MIDI file: {error or 'it ends early'}") from None
    now = 0.0
    sounding: dict[tuple[int, int], list[tuple[float, int]]] = defaultdict(list)
    notes = []
    for message in messages:
        now += message.time
        if message.type == "note_on" and message.velocity > 0:
            sounding[message.channel, message.note].append((now, message.velocity))
        elif message.type in ("note_on", "note_off") and sounding[message.channel, message.note]:
            start, velocity = sounding[message.channel, message.note].pop(0)
            notes.append(Note(start, now, message.note, velocity))
    return sorted(note for note in notes if note.end > note.start)


def write_midi(notes: Sequence[Note]) -> bytes:
    """A one-track MIDI file of the notes, played on an acoustic grand piano. The same notes give the same bytes."""
    import mido

    track = mido.MidiTrack()
    track.append(mido.MetaMessage("set_tempo", tempo=MICROSECONDS_PER_BEAT, time=0))
    track.append(mido.Message("program_change", program=0, time=0))
    events = []
    for note in _one_key_once(notes):
        events.append((round(note.start * TICKS_PER_SECOND), 1, note.pitch, note.velocity))
        events.append((round(note.end * TICKS_PER_SECOND), 0, note.pitch, 0))  # releases sort before onsets
    before = 0
    for tick, pressed, pitch, velocity in sorted(events):
        kind = "note_on" if pressed else "note_off"
        track.append(mido.Message(kind, note=pitch, velocity=velocity, time=tick - before))
        before = tick
    file = mido.MidiFile(type=0, ticks_per_beat=TICKS_PER_BEAT, tracks=[track])
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def cut(notes: Sequence[Note], seconds: float) -> list[Note]:
    """The notes from the first onset on (rests before it dropped) up to ``seconds`` later; later parts are cut off."""
    first = min((note.start for note in notes), default=0.0)
    moved = (replace(note, start=note.start - first, end=min(note.end - first, seconds)) for note in notes)
    return [note for note in moved if note.start < seconds]


def loop(notes: Sequence[Note], seconds: float) -> list[Note]:
    """The notes repeated, without a gap, until ``seconds`` are filled."""
    period = max(note.end for note in notes)
    repeats = int(np.ceil(seconds / period))
    copies = (
        replace(note, start=note.start + i * period, end=note.end + i * period)
        for i in range(repeats)
        for note in notes
    )
    return cut(list(copies), seconds)


def render(midi: bytes, seconds: float = 30.0) -> RenderedAudio:
    """Play a MIDI file for exactly ``seconds``.

    The first note begins at 0; music shorter than ``seconds`` is repeated. Resampled from 48 kHz with soxr HQ.

    Raises
    ------
    AudioError
        ``unrenderable`` (no MIDI file, or the synthesiser refuses it), ``silent`` (no notes, or none audible),
        ``too_short`` (under 2 s of music).
    DatasetError
        If the synthesiser's soundfont is not installed.
    """
    import midirenderer
    import soundfile
    import soxr

    notes = cut(read_notes(midi), seconds + 1.0)  # a second more, so that the end is music and not its decay
    if not notes:
        raise AudioError("silent", f"the MIDI file of {len(midi)} bytes holds no notes")
    music = max(note.end for note in notes)
    if music < SHORTEST_MUSIC_SECONDS:
        raise AudioError("too_short", f"{music:.2f} s of music, expected at least {SHORTEST_MUSIC_SECONDS:g} s")
    looped = music < seconds
    if looped:
        notes = loop(notes, seconds + 1.0)
    try:
        wave = midirenderer.render_wave_from(_soundfont(), write_midi(notes))
    except (ValueError, RuntimeError) as error:
        raise AudioError("unrenderable", f"the synthesiser refuses {len(notes)} notes: {error}") from None
    stereo, rate = soundfile.read(io.BytesIO(wave), dtype="float32", always_2d=True)
    mono = soxr.resample(stereo.mean(axis=1), rate, SAMPLE_RATE, quality="HQ")
    count = round(seconds * SAMPLE_RATE)
    samples = np.zeros(count, dtype=np.float32)
    samples[: min(count, len(mono))] = mono[:count]
    peak = float(np.abs(samples).max())
    if peak < INAUDIBLE_PEAK:
        raise AudioError("silent", f"{len(notes)} notes gave a peak of {peak:.1e}, expected at least {INAUDIBLE_PEAK}")
    gain = min(LEVEL / float(np.sqrt(np.mean(samples**2))), HIGHEST_PEAK / peak)
    buffer = io.BytesIO()
    soundfile.write(buffer, samples * gain, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return RenderedAudio(buffer.getvalue(), looped, min(music, seconds))


def _one_key_once(notes: Sequence[Note]) -> list[Note]:
    """End a note where another voice strikes the same key: else the first release would silence both."""
    by_pitch: dict[int, list[Note]] = defaultdict(list)
    for note in sorted(notes):
        held = by_pitch[note.pitch]
        if held and note.start == held[-1].start:
            held[-1] = replace(note, velocity=max(note.velocity, held[-1].velocity))  # sorted: this one is longer
        else:
            if held and held[-1].end > note.start:
                held[-1] = replace(held[-1], end=note.start)
            held.append(note)
    return sorted(note for held in by_pitch.values() for note in held)


@cache
def _soundfont() -> bytes:
    found = importlib.util.find_spec("pretty_midi")  # not imported: it is slow and only its data is needed
    path = Path(found.origin).with_name(SOUNDFONT) if found and found.origin else None
    if path is None or not path.exists():
        raise DatasetError(f"no soundfont {SOUNDFONT}: install the demo's packages (pip install 'tonearm[demo]')")
    return path.read_bytes()

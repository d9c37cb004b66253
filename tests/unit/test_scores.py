"""The demo's catalogue and its renderer: what is in the table, and that scores become the audio that is promised."""

from __future__ import annotations

import dataclasses
import io
from collections import Counter
from pathlib import Path

import mido  # type: ignore[import-untyped]
import numpy as np
import pytest
import soundfile

from tonearm.core import storage
from tonearm.core.errors import AudioError, DatasetError
from tonearm.core.seeding import digest
from tonearm.datasets.manifest import SPLITS, Track
from tonearm.datasets.splits import split_by_group
from tonearm.examples import ScoresConfig
from tonearm.examples.scores import (
    CATALOGUE,
    CUT_SECONDS,
    PIECES_PER_REPERTOIRE,
    Piece,
    catalogue_pieces,
    read_catalogue,
    render,
    to_midi,
)
from tonearm.examples.synthesis import Note, cut, loop, read_notes, write_midi

PIECES = {piece.piece_id: piece for piece in catalogue_pieces()}
REPERTOIRES = {
    "Palestrina masses", "Bach chorales", "Monteverdi madrigals", "Trecento", "Ryan's fiddle tunes",
    "O'Neill's Irish tunes", "German folk songs", "Han Chinese folk songs",
}  # fmt: skip


def of(repertoire: str) -> list[Piece]:
    return [piece for piece in PIECES.values() if piece.repertoire == repertoire]


def made(piece_id: str) -> bytes:
    midi = to_midi([PIECES[piece_id]])[piece_id]
    assert isinstance(midi, bytes), midi
    return midi


def test_every_repertoire_has_its_pieces_and_spares() -> None:
    counts = Counter(piece.repertoire for piece in PIECES.values())
    assert set(counts) == REPERTOIRES
    assert min(counts.values()) >= PIECES_PER_REPERTOIRE + 6


@pytest.mark.parametrize("repertoire", sorted(REPERTOIRES))
def test_groups_are_many_and_none_dominates(repertoire: str) -> None:
    groups = Counter(piece.group for piece in of(repertoire)[:PIECES_PER_REPERTOIRE])
    assert len(groups) >= 8
    assert max(groups.values()) <= 4


def test_a_work_is_never_in_two_groups_and_a_group_never_in_two_repertoires() -> None:
    groups_of_work: dict[tuple[str, str], set[str]] = {}
    repertoires_of_group: dict[str, set[str]] = {}
    for piece in PIECES.values():
        groups_of_work.setdefault((piece.repertoire, piece.artist + piece.work), set()).add(piece.group)
        repertoires_of_group.setdefault(piece.group, set()).add(piece.repertoire)
    assert all(len(groups) == 1 for groups in groups_of_work.values())
    assert all(len(repertoires) == 1 for repertoires in repertoires_of_group.values())


@pytest.mark.parametrize("seed", [0, 1])
def test_the_wanted_pieces_split_by_group_with_every_class_in_every_split(seed: int) -> None:
    wanted = [piece for repertoire in REPERTOIRES for piece in of(repertoire)[:PIECES_PER_REPERTOIRE]]
    tracks = [
        Track(track_id=p.piece_id, source=p.collection, content=p.piece_id, label=p.repertoire, group=p.group)
        for p in wanted
    ]
    split, notes = split_by_group(tracks, seed=seed)
    assert not notes
    counts = Counter((track.split, track.label) for track in split)
    for repertoire in REPERTOIRES:
        assert min(counts[name, repertoire] for name in SPLITS) >= 3
        assert counts["train", repertoire] >= 10


def test_a_source_is_listed_once() -> None:
    sources = Counter((piece.collection, piece.number) for piece in PIECES.values())
    assert max(sources.values()) == 1


def test_places_dates_and_licences_are_plausible() -> None:
    for piece in PIECES.values():
        assert 18 < piece.latitude < 56, piece
        assert -72 < piece.longitude < 130, piece
        assert piece.century is not None and 14 <= piece.century <= 20, piece
        assert piece.year is None or 0 <= piece.year - 100 * (piece.century - 1) <= 103, piece
        assert piece.title and piece.artist and piece.licence
    assert all("non-commercial" in p.licence for p in PIECES.values() if p.collection.startswith("essenFolksong"))
    assert all("John Miller" in p.licence for p in of("Palestrina masses"))


def write_catalogue(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",41.9028,", ",123.4,", "latitude is 123.4"),
        (",41.9028,", ",north,", "latitude is 'north', expected a number"),
        (",Palestrina masses,", ",,", "repertoire must not be empty"),
        ("palestrina-missa", "Palestrina missa", "lower-case letters"),
        (",41.9028,", ",", "too many or too few cells"),
    ],
)
def test_an_ill_formed_row_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    header, first, *_ = CATALOGUE.read_text(encoding="utf-8").splitlines()
    path = write_catalogue(tmp_path / "catalogue.csv", [header, first.replace(old, new, 1)])
    with pytest.raises(DatasetError, match=message) as caught:
        read_catalogue(path)
    assert "line 2" in str(caught.value)


def test_a_repeated_id_and_wrong_columns_are_refused(tmp_path: Path) -> None:
    header, first, *_ = CATALOGUE.read_text(encoding="utf-8").splitlines()
    with pytest.raises(DatasetError, match=r"line 3 .*occurs twice"):
        read_catalogue(write_catalogue(tmp_path / "a.csv", [header, first, first]))
    with pytest.raises(DatasetError, match="columns are"):
        read_catalogue(write_catalogue(tmp_path / "b.csv", [header.replace("title", "name"), first]))


@pytest.mark.parametrize("piece_id", ["bach-bwv80-8", "oneill-shandon-bells"])
def test_a_piece_becomes_thirty_seconds_of_audio_always_the_same(piece_id: str) -> None:
    midi = made(piece_id)
    rendered = render(midi)
    samples, rate = soundfile.read(io.BytesIO(rendered.audio), dtype="float32")
    info = soundfile.info(io.BytesIO(rendered.audio))
    assert (rate, samples.shape, info.format, info.subtype) == (22050, (661_500,), "FLAC", "PCM_16")
    assert np.isfinite(samples).all()
    level = 20 * np.log10(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))
    assert level == pytest.approx(-22, abs=0.1)
    seconds = samples.reshape(30, 22050)
    assert (np.abs(seconds).max(axis=1) > 0.01).all()  # music in every second, to the last
    assert digest(render(made(piece_id)).audio) == digest(rendered.audio)


def test_tunes_of_one_file_are_made_together_and_one_bad_one_harms_no_other() -> None:
    good = PIECES["oneill-shandon-bells"]
    bad = dataclasses.replace(good, piece_id="absent", number=4711)
    made_of = to_midi([bad, good])
    error = made_of["absent"]
    assert isinstance(error, AudioError) and error.reason == "missing" and "X:4711" in error.detail
    assert isinstance(made_of[good.piece_id], bytes)


def test_a_missing_file_is_reported_and_several_files_are_refused() -> None:
    piece = dataclasses.replace(PIECES["bach-bwv80-8"], collection="bach/bwv0.0.mxl")
    error = to_midi([piece])[piece.piece_id]
    assert isinstance(error, AudioError) and "bwv0.0.mxl" in error.detail
    with pytest.raises(DatasetError, match="pieces of one file, got 2"):
        to_midi([PIECES["bach-bwv80-8"], piece])


def test_a_long_piece_is_cut_at_32_seconds_and_begins_at_once() -> None:
    notes = read_notes(made("palestrina-missa-papae-marcelli-kyrie"))
    assert notes[0].start == 0
    assert max(note.end for note in notes) == pytest.approx(CUT_SECONDS)
    assert max(note.start for note in notes) < CUT_SECONDS


def test_a_tempo_of_the_score_is_kept_in_seconds() -> None:
    track = mido.MidiTrack()
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(60)))
    track.append(mido.Message("note_on", note=60, velocity=80, time=0))
    track.append(mido.Message("note_off", note=60, velocity=0, time=480))
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(240)))
    track.append(mido.Message("note_on", note=62, velocity=80, time=0))
    track.append(mido.Message("note_off", note=62, velocity=0, time=480))
    buffer = io.BytesIO()
    mido.MidiFile(ticks_per_beat=480, tracks=[track]).save(file=buffer)
    notes = read_notes(buffer.getvalue())
    assert [(note.start, note.end, note.pitch) for note in notes] == [(0, 1, 60), (1, 1.25, 62)]
    assert read_notes(write_midi(notes)) == notes


def test_cut_drops_leading_rests_and_shortens_the_last_notes() -> None:
    notes = [Note(5, 6, 60, 80), Note(7, 30, 62, 80), Note(20, 21, 64, 80)]
    assert cut(notes, 10) == [Note(0, 1, 60, 80), Note(2, 10, 62, 80)]


def test_loop_repeats_without_a_gap() -> None:
    assert loop([Note(0, 1, 60, 80), Note(1, 3, 62, 80)], 7) == [
        Note(0, 1, 60, 80), Note(1, 3, 62, 80), Note(3, 4, 60, 80), Note(4, 6, 62, 80), Note(6, 7, 60, 80),
    ]  # fmt: skip


def test_a_key_struck_by_two_voices_sounds_as_long_as_the_longer() -> None:
    notes = read_notes(write_midi([Note(0, 1, 60, 70), Note(0, 4, 60, 80), Note(2, 3, 60, 90)]))
    assert notes == [Note(0, 2, 60, 80), Note(2, 3, 60, 90)]


def test_short_music_is_looped_and_says_so() -> None:
    notes = [Note(0, 1, 60, 80), Note(1, 2, 67, 80), Note(2, 4, 72, 80)]
    rendered = render(write_midi(notes), seconds=10)
    assert rendered.looped and rendered.seconds_of_music == pytest.approx(4)
    samples, _ = soundfile.read(io.BytesIO(rendered.audio))
    assert len(samples) == 220_500
    long = render(write_midi([Note(i, i + 1, 60 + i, 80) for i in range(12)]), seconds=10)
    assert not long.looped and long.seconds_of_music == 10


@pytest.mark.parametrize(
    ("midi", "reason"),
    [
        (b"", "unrenderable"),
        (b"no midi at all", "unrenderable"),
        (write_midi([Note(0, 3, 60, 80)])[:30], "unrenderable"),
        (write_midi([]), "silent"),
        (write_midi([Note(0, 1.5, 60, 80)]), "too_short"),
        (write_midi([Note(0, 3, 0, 1)]), "silent"),
    ],
    ids=["empty", "text", "truncated", "no notes", "too short", "inaudible"],
)
def test_bad_midi_is_an_error_with_a_reason(midi: bytes, reason: str) -> None:
    with pytest.raises(AudioError) as caught:
        render(midi)
    assert caught.value.reason == reason


# --- the data set


def write_rendered(folder: Path, failed: str = "") -> list[Piece]:
    """What rendering leaves behind: of every repertoire the wanted pieces, and a spare for the failed one."""
    written = []
    for repertoire in REPERTOIRES:
        pieces = of(repertoire)
        spare = any(p.piece_id == failed for p in pieces[:PIECES_PER_REPERTOIRE])
        written += pieces[: PIECES_PER_REPERTOIRE + spare]
    for piece in written:
        made = {"recipe": "r", "content": f"bytes of {piece.piece_id}", "looped": False}
        if piece.piece_id == failed:
            made = {"recipe": "r", "reason": "silent", "detail": "no notes"}
        storage.write_json(str(folder / f"{piece.piece_id}.json"), made)
    return written


def test_rendered_pieces_are_listed(tmp_path: Path) -> None:
    written = write_rendered(tmp_path)
    catalogue = ScoresConfig(root=str(tmp_path)).catalogue()
    assert (catalogue.name, catalogue.label, list(catalogue.rejects)) == ("scores", "repertoire", [])
    assert {t.track_id for t in catalogue.tracks} == {p.piece_id for p in written} and len(written) == 160
    piece = PIECES["bach-bwv80-8"]
    track = next(t for t in catalogue.tracks if t.track_id == piece.piece_id)
    assert track == Track(
        track_id=piece.piece_id, source=f"{tmp_path}/bach-bwv80-8.flac", content="bytes of bach-bwv80-8",
        label="Bach chorales", group=piece.group, title=piece.title, artist=piece.artist, year=piece.year,
        place=piece.place, latitude=piece.latitude, longitude=piece.longitude, licence=piece.licence,
    )  # fmt: skip


def test_a_piece_that_failed_is_rejected_and_a_spare_takes_its_place(tmp_path: Path) -> None:
    pieces = of("Trecento")
    write_rendered(tmp_path, failed=pieces[3].piece_id)
    catalogue = ScoresConfig(root=str(tmp_path)).catalogue()
    assert [(r.track_id, r.stage, r.reason, r.detail) for r in catalogue.rejects] == [
        (pieces[3].piece_id, "render", "silent", "no notes")
    ]
    ids = {t.track_id for t in catalogue.tracks if t.label == "Trecento"}
    assert len(ids) == PIECES_PER_REPERTOIRE and pieces[PIECES_PER_REPERTOIRE].piece_id in ids


def test_pieces_that_are_not_rendered_say_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONEARM_HOME", str(tmp_path))
    with pytest.raises(DatasetError, match=r"160 pieces are not rendered in .*data/scores/audio: run tonearm extract"):
        ScoresConfig().catalogue()
    folder = tmp_path / "data" / "scores" / "audio"
    write_rendered(folder)
    assert len(ScoresConfig().catalogue().tracks) == 160
    (folder / f"{of('Trecento')[0].piece_id}.json").unlink()
    with pytest.raises(DatasetError, match="1 pieces are not rendered"):
        ScoresConfig().catalogue()

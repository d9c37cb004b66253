"""Data set ``scores``: eight repertoires from the scores that music21 ships, 20 pieces each. Nothing is downloaded.

It shows that the whole path works, from score to audio, features, training and serving, on music that
differs in texture (one line, two to six voices), harmony, mode, ambitus and rhythm. It does not show how well a
model performs on recordings. One synthesised piano plays everything, at the tempo that the score or its encoder gave
(music21's default, 120 quarters a minute, for nearly all), with neither words, rooms, performers nor recording
equipment, and short tunes are repeated. Repertoires that are one unaccompanied line are distinguished from polyphony by
that alone, the four folk repertoires from each other by scale and rhythm, and encoders' habits (note values that are
halved or not, ornaments written out or not) differ by collection: high scores are expected and say little about
real genres.

The catalogue was checked by hand against the files' own headers, since music21's metadata often names no or a wrong
composer. Where the files name none, attributions follow the edition that they were encoded from (Polyphonic Music of
the Fourteenth Century; the Bach works catalogue; Monteverdi's third to fifth books of madrigals). ``year`` is that of
first publication or performance where known. Several encodings may not be used commercially: see ``licence``.
"""

from __future__ import annotations

import codecs
import csv
import importlib.util
import io
import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from tonearm.core.errors import AudioError, DatasetError
from tonearm.datasets.manifest import Track
from tonearm.examples.synthesis import Note, RenderedAudio, cut, read_notes, render, write_midi

__all__ = ["PIECES_PER_REPERTOIRE", "Piece", "RenderedAudio", "catalogue_pieces", "render", "to_midi"]

PIECES_PER_REPERTOIRE = 20
"""Pieces taken of each repertoire; the further rows are spares, taken in order where one fails."""

CATALOGUE = Path(__file__).with_name("scores_catalogue.csv")
CUT_SECONDS = 32.0  # a little more than is rendered
QUARTERS = 96.0  # notes enough for 32 s at up to 180 a minute; all of the score is read where they are not


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One row of the catalogue.

    Attributes
    ----------
    piece_id
        Stable and unique: lower-case letters, digits and hyphens.
    collection
        The file, relative to music21's corpus folder.
    number
        Of the tune, in a file that holds many; else None.
    repertoire
        The label.
    artist
        The composer, or for folk music the tradition.
    century
        The music's, e.g. 16 for the 1500s; for folk songs when it was first written down.
    year
        Of first publication, else of first performance; None where neither is known.
    latitude, longitude
        Of the place, degrees north and east.
    work
        The mass, cantata, madrigal cycle, tune or song: movements and variants share one.
    group
        Never crosses splits: the composer where the repertoire has many, else the work.
    licence
        What the encoding itself says of its use.
    """

    piece_id: str
    collection: str
    number: int | None
    repertoire: str
    title: str
    artist: str
    century: int | None
    year: int | None
    place: str
    latitude: float
    longitude: float
    work: str
    group: str
    licence: str


def catalogue_pieces() -> list[Piece]:
    """All rows of the catalogue, in its order: of each repertoire the pieces to take, then the spares.

    Raises
    ------
    DatasetError
        If a row is ill-formed or an id occurs twice; the row is named.
    """
    return read_catalogue(CATALOGUE)


def read_catalogue(path: Path) -> list[Piece]:
    """The rows of a catalogue; see :func:`catalogue_pieces`."""
    names = [f.name for f in fields(Piece)]
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames != names:
            raise DatasetError(f"{path}: columns are {reader.fieldnames}, expected {names}")
        pieces: dict[str, Piece] = {}
        for row in reader:
            where = f"{path.name}, line {reader.line_num} ({row['piece_id']!r})"
            piece = _piece(row, where)
            if piece.piece_id in pieces:
                raise DatasetError(f"{where}: this piece_id occurs twice, give each row its own")
            pieces[piece.piece_id] = piece
    return list(pieces.values())


def piece_track(piece: Piece, source: str, content: str) -> Track:
    """The track of a piece that was rendered to ``source``; ``content`` is the digest of its bytes."""
    known = {f.name: getattr(piece, f.name) for f in fields(Track) if hasattr(piece, f.name)}
    return Track(track_id=piece.piece_id, source=source, content=content, label=piece.repertoire, **known)


def to_midi(pieces: Sequence[Piece]) -> dict[str, bytes | Exception]:
    """Turn the pieces of one file into MIDI, each cut to its first 32 s of music.

    Parameters
    ----------
    pieces
        Of one ``collection``, which is read once; only the tunes asked for are parsed.

    Returns
    -------
    By ``piece_id``: the bytes of a MIDI file that begins with its first note, or the :class:`AudioError`
    (``missing``, ``unparsable``, ``silent``) that a piece failed with: one bad piece keeps no other from being made.

    Raises
    ------
    DatasetError
        If the pieces are of several files, or music21 is not installed.
    """
    files = {piece.collection for piece in pieces}
    if len(files) != 1:
        raise DatasetError(f"to_midi takes the pieces of one file, got {len(files)}: {', '.join(sorted(files)[:3])}")
    collection = files.pop()
    suffix = Path(collection).suffix
    path = _corpus() / collection
    try:
        text = _read(path)
    except (OSError, zipfile.BadZipFile, StopIteration, UnicodeError) as error:
        unread = AudioError("missing", f"music21's corpus has no readable file {collection!r} ({path}): {error}")
        return {piece.piece_id: unread for piece in pieces}
    tunes = _tunes(text) if suffix == ".abc" else {}
    out: dict[str, bytes | Exception] = {}
    for piece in pieces:
        source = text if piece.number is None else tunes.get(piece.number)
        try:
            if source is None:
                raise AudioError("missing", f"{collection} holds no tune X:{piece.number}")
            out[piece.piece_id] = _first_seconds(source, suffix)
        except AudioError as error:
            out[piece.piece_id] = error
        except Exception as error:  # a parser of foreign files fails in every way there is; the piece is reported
            detail = f"music21 cannot read {collection} {piece.number or ''}: {type(error).__name__}: {error}"
            out[piece.piece_id] = AudioError("unparsable", detail)
    return out


def _first_seconds(source: str, suffix: str) -> bytes:
    from music21 import converter, key, meter, repeat

    formats = {".abc": "abc", ".krn": "humdrum", ".mxl": "musicxml", ".xml": "musicxml"}
    # From the text, not the path: music21 keeps pickles of the files it parses in the temporary folder.
    score: Any = converter.parseData(source, format=formats[suffix])
    # The translation to MIDI stumbles over signatures that occur twice, and notes have their accidentals by now.
    signatures = score.recurse().getElementsByClass((meter.TimeSignature, key.KeySignature))
    score.remove(list(signatures), recurse=True)
    beginning = _beginning(score)
    try:
        notes = _cut_notes(beginning)
    except repeat.ExpanderException:
        if beginning is score:
            raise
        notes = []  # a repeat that begins in one half and ends in the other: all of the score is needed
    if beginning is not score and max((note.end for note in notes), default=0.0) < CUT_SECONDS:
        notes = _cut_notes(score)
    if not notes:
        raise AudioError("silent", "the score holds no notes")
    return write_midi(notes)


def _beginning(score: Any) -> Any:
    """The first measures of a long score: translating all of it takes many times as long."""
    from music21 import stream

    starts = [float(measure.offset) for measure in score.parts[0].getElementsByClass(stream.Measure)]
    measures = sum(start < QUARTERS for start in starts)
    return score.measures(0, measures, indicesNotNumbers=True) if 0 < measures < len(starts) else score


def _cut_notes(score: Any) -> list[Note]:
    from music21.midi.translate import streamToMidiFile

    return cut(read_notes(streamToMidiFile(score).writestr()), CUT_SECONDS)


def _tunes(text: str) -> dict[int, str]:
    """The tunes of an ABC file by their X: number, the first where a number occurs twice."""
    tunes: dict[int, str] = {}
    for part in re.split(r"(?m)^(?=X:)", text):
        number = re.match(r"X: *(\d+)", part)
        if number:
            tunes.setdefault(int(number[1]), part)
    return tunes


def _corpus() -> Path:
    found = importlib.util.find_spec("music21")
    if found is None or found.origin is None:
        raise DatasetError("music21 is not installed: install the demo's packages (pip install 'tonearm[demo]')")
    return Path(found.origin).parent / "corpus"


def _read(path: Path) -> str:
    """The text of a score: UTF-8, UTF-16 with its mark, or, of Humdrum and ABC, Latin-1."""
    data = path.read_bytes()
    if path.suffix == ".mxl":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            data = archive.read(next(name for name in archive.namelist() if not name.startswith("META-INF")))
    if path.suffix in (".abc", ".krn"):
        text = data.decode("latin-1").replace("\r\n", "\n").replace("\r", "\n")
    else:
        text = data.decode("utf-16" if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8")
    if path.suffix == ".abc":  # quoted fingerings ("4" above a note) would be taken for chords to be played
        return re.sub(r"(?m)^(?![A-Z]:).*$", lambda line: re.sub(r'"[^"]*"', "", line[0]), text)
    return text


def _piece(row: dict[str, str], where: str) -> Piece:
    if None in row or None in row.values():
        raise DatasetError(f"{where}: it has too many or too few cells, expected {len(fields(Piece))}")
    optional = ("number", "century", "year")
    empty = [name for name, text in row.items() if not text.strip() and name not in optional]
    if empty:
        raise DatasetError(f"{where}: {', '.join(empty)} must not be empty")
    if not re.fullmatch(r"[a-z0-9-]+", row["piece_id"]):
        raise DatasetError(f"{where}: a piece_id has lower-case letters, digits and hyphens only")
    kinds: dict[str, Callable[[str], int | float]] = {
        **dict.fromkeys(optional, int), "latitude": float, "longitude": float,
    }  # fmt: skip
    values: dict[str, Any] = dict(row)
    for name, kind in kinds.items():
        try:
            values[name] = kind(row[name]) if row[name].strip() else None
        except ValueError:
            raise DatasetError(f"{where}: {name} is {row[name]!r}, expected a number") from None
    for name, bound in (("latitude", 90), ("longitude", 180)):
        if not abs(values[name]) <= bound:
            raise DatasetError(f"{where}: {name} is {values[name]}, expected -{bound}..{bound} degrees")
    return Piece(**values)

"""Players and music servers that speak OpenSubsonic ask for what sounds alike: its extension ``sonicSimilarity``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from serve.answers import library_of, recommended, way
from serve.library import found_tracks, row_of, told
from serve.problems import RefusedError
from serve.questions import Question
from serve.settings import MAX_NEIGHBOURS
from serve.state import Here, State
from serve.subsonic import BAD_KEY, EXTENSIONS, GENERIC, MISSING, PREFIX, SubsonicError, envelope, failed, form_of

if TYPE_CHECKING:
    from tonearm.recommend.library import Library

router = APIRouter(prefix=PREFIX.rstrip("/"), include_in_schema=False)
MOST_SONGS = 500  # of one search
MOST_SKIPPED = 10**9
Content = dict[str, Any]


@router.get("/{name}")
async def ask(here: Here, request: Request, name: str) -> Response:
    """A method of OpenSubsonic; failures have its form, too."""
    form = form_of(request.scope)
    try:
        method = METHODS.get(name.removesuffix(".view"))
        if method is None:
            raise SubsonicError(GENERIC, f"{name[:60]!r} is not answered; known are {', '.join(METHODS)}", 404)
        return envelope(await method(here, request), form)
    except RefusedError as refusal:
        return failed(refusal, form)


async def ping(here: State, request: Request) -> Content:
    """Whether the server is there."""
    return {}


async def licence(here: State, request: Request) -> Content:
    """That everything may be used."""
    return {"license": {"valid": True}}


async def extensions(here: State, request: Request) -> Content:
    """What is answered beyond Subsonic's own methods."""
    names = ("sonicSimilarity", "apiKeyAuthentication", "formPost")
    return {"openSubsonicExtensions": [{"name": name, "versions": [1]} for name in names]}


async def token_info(here: State, request: Request) -> Content:
    """Whose the token is."""
    caller = request.scope.get("state", {}).get("caller", "")
    if not caller:
        raise SubsonicError(BAD_KEY, "this server asks for no token")
    return {"tokenInfo": {"username": caller}}


async def song(here: State, request: Request) -> Content:
    """What is known of a track."""
    wanted = _required(request, "id")
    shelf = await here.front.choose(wanted.encode())
    return {"song": _child(told(row_of(library_of(shelf), wanted)))}


async def search(here: State, request: Request) -> Content:
    """Tracks in which all words occur; without words, all tracks, in parts."""
    words = request.query_params.get("query", "").strip('"')[:200]
    count, offset = _number(request, "songCount", 20, MOST_SONGS), _number(request, "songOffset", 0, MOST_SKIPPED)
    library = library_of(await here.front.choose(words.encode()))
    _, rows = await asyncio.to_thread(found_tracks, library, words, count, offset)
    return {"searchResult3": {"song": [_child(row) for row in rows]}}


async def similar_tracks(here: State, request: Request) -> Content:
    """Tracks that sound alike, the most alike first."""
    wanted, count = _required(request, "id"), _number(request, "count", 10, MAX_NEIGHBOURS)
    row_of(library_of(await here.front.choose(wanted.encode())), wanted)
    if not count:
        return {"sonicMatch": []}
    found = await recommended(here.front, b"", Question(like=[wanted], k=count).model_dump(exclude={"uri"}))
    return {"sonicMatch": [_match(row, row["similarity"]) for row in found["neighbours"]]}


async def path(here: State, request: Request) -> Content:
    """Tracks from one to another, both included, at most ``count``; fewer where there are no more between them."""
    first, last = _required(request, "startSongId"), _required(request, "endSongId")
    count = _number(request, "count", 25, MAX_NEIGHBOURS + 2)
    library = library_of(await here.front.choose(first.encode()))
    ends = [told(row_of(library, wanted)) for wanted in (first, last)]
    if first == last or count < 2:
        raise SubsonicError(GENERIC, "a path has two different ends: give two ids, and a count of 2 or more")
    rows, between = ends, min(count, len(library)) - 2
    while between:
        try:
            rows = (await way(here.front, first, last, between, {}))["steps"]
            break
        except RefusedError as refusal:
            if refusal.status != 422:
                raise
        between //= 2
    return {"sonicMatch": [_match(row, cosine) for row, cosine in zip(rows, _cosines(library, rows), strict=True)]}


METHODS: dict[str, Callable[[State, Request], Awaitable[Content]]] = {
    "ping": ping, "getLicense": licence, EXTENSIONS: extensions, "tokenInfo": token_info, "getSong": song,
    "search3": search, "getSonicSimilarTracks": similar_tracks, "findSonicPath": path,
}  # fmt: skip


def _required(request: Request, name: str) -> str:
    value = request.query_params.get(name, "")
    if not value:
        raise SubsonicError(MISSING, f"{name} is missing: it is a track id of the catalogue, as search3 gives them")
    return value


def _number(request: Request, name: str, default: int, most: int) -> int:
    """A count that is asked for, at most so many."""
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) <= 10):
        raise SubsonicError(GENERIC, f"{name} is {text[:60]!r}: give a whole number")
    return min(int(text), most)


def _cosines(library: Library, rows: list[Content]) -> list[float]:
    """Of the first row with each of them."""
    import numpy as np

    vectors = library.vectors(np.array([library.place(row["track_id"]) for row in rows], dtype=np.int64))
    return [float(value) for value in vectors @ vectors[0]]


def _match(row: Mapping[str, Any], cosine: float) -> Content:
    """A track with its similarity: half of the cosine, and a half, so that 1 is the same and 0 the opposite."""
    return {"entry": _child(row), "similarity": min(1.0, max(0.0, (1 + cosine) / 2))}


def _child(row: Mapping[str, Any]) -> Content:
    """A track as Subsonic calls it; what is not known is left out."""
    known = {"id": row["track_id"], "isDir": False, "isVideo": False, "type": "music", "mediaType": "song",
             "title": row.get("title") or row["track_id"], "artist": row.get("artist"), "album": row.get("album"),
             "genre": row.get("label")}  # fmt: skip
    year = row.get("year")
    if isinstance(year, int | float) and year == year:
        known["year"] = int(year)
    return {name: value for name, value in known.items() if value is not None}

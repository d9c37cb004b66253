"""Answers of the ingress: what needs ears is asked of a listener, the rest is read from the library in memory."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, cast

from serve.answers_cache import answer_key
from serve.front import Front
from serve.library import found_tracks, measured, row_of, whole_row
from serve.listener import damaged
from serve.problems import RefusedError
from serve.shelf import Shelf, state_of
from tonearm.core.errors import ConfigError, TonearmError
from tonearm.core.text import command

if TYPE_CHECKING:  # the driver, too, imports this, and needs no torch
    from tonearm.inference.described import Described
    from tonearm.recommend.library import Library

QUICK = 5_000  # tracks of a library that answers within some milliseconds

#: HTTP status of the reasons for which audio is refused; anything else that is wrong with a recording is 422.
STATUS_BY_REASON = {"empty": 400, "undecodable": 415, "bad_header": 415, "too_long": 413, "no_catalogue": 409,
                    "not_remembered": 404, "damaged": 503}  # fmt: skip


async def classified(
    front: Front, audio: bytes, timeline: bool = False, task: str = "", listener: str | None = None
) -> dict[str, Any]:
    """What a recording is; with what is heard in each window, if it is wanted; of a model of one task, if one is named.

    Raises
    ------
    RefusedError
        If it cannot be told; 409 if the model is of another task.
    """
    content = await asyncio.to_thread(audio_key, audio)

    async def answer(shelf: Shelf) -> dict[str, Any]:
        if task and shelf.about["task"] != task:
            detail = f"the model {shelf.version.name} answers {shelf.about['task']}, not {task}: ask /v1/classify"
            raise RefusedError(409, "other_task", detail)
        key = answer_key(content, {}, shelf.key)
        return answered(await front.cache.answer(key, lambda: front.ask(shelf, "classify", audio)))

    found = await by_version(front, content, answer, listener)
    return found if timeline else {**found, "timeline": None}


async def attributes_of(front: Front, audio: bytes, recording: str = "", listener: str | None = None) -> dict[str, Any]:
    """What is measured of a recording, beside all tracks of the library; ``recording`` names one that was heard lately,
    where there is no audio.

    Raises
    ------
    RefusedError
        If it cannot be told.
    """
    content = await _content(audio, recording)

    async def answer(shelf: Shelf) -> dict[str, Any]:
        key = answer_key(content, {"attributes": True, "recording": recording}, shelf.key)
        heard = answered(await front.cache.answer(key, lambda: _measured(front, shelf, audio, recording)))
        values = heard["attributes"]
        return {**heard, "attributes": await asyncio.to_thread(measured, shelf.library, values)}

    return await by_version(front, content, answer, listener)


async def _measured(front: Front, shelf: Shelf, audio: bytes, recording: str) -> dict[str, Any]:
    if audio:
        return cast(dict[str, Any], await front.ask(shelf, "attributes", audio))
    started = time.perf_counter()
    heard = answered(await front.ask(shelf, "recall", recording, True))
    values = heard["described"].descriptors
    return {"attributes": values, **shelf.signature, "seconds": time.perf_counter() - started}


async def recommended(
    front: Front, audio: bytes, question: Mapping[str, Any], listener: str | None = None
) -> dict[str, Any]:
    """Which tracks sound like a recording, like what is liked, or both; ``question`` as ``serve.questions`` has it.

    Raises
    ------
    RefusedError
        If it cannot be told.
    """
    asked = {name: value for name, value in question.items() if name != "recording"}
    recording = str(question["recording"])
    content = await _content(audio, recording)

    async def answer(shelf: Shelf) -> dict[str, Any]:
        library = library_of(shelf)
        if not content and not asked["windows"]:  # quicker made than remembered
            return await _found(front, shelf, library, audio, recording, asked)
        key = answer_key(content, question, shelf.key + state_of(library))
        found = await front.cache.answer(key, lambda: _found(front, shelf, library, audio, recording, asked))
        return answered(found)

    return await by_version(front, content or json.dumps(asked, sort_keys=True).encode(), answer, listener)


async def by_version(
    front: Front, key: bytes, answer: Callable[[Shelf], Awaitable[dict[str, Any]]], listener: str | None
) -> dict[str, Any]:
    """The answer of the version that a request falls to, and the arm of who asks; of the current one where that was a
    canary or a challenger that failed: the arm stays, or those who met its failures would leave it.

    Raises
    ------
    RefusedError
        If it cannot be told.
    """
    shelf, arm = await front.assign(key, listener)
    try:
        return await answer(shelf) | {"arm": arm}
    except Exception as error:
        current = front.routes.current
        refused = isinstance(error, RefusedError) and error.status < 500
        if refused or current is None or current.version == shelf.version:
            raise
        return await answer(current) | {"arm": arm}


async def _found(
    front: Front, shelf: Shelf, library: Library, audio: bytes, name: str, question: Mapping[str, Any]
) -> dict[str, Any]:
    from tonearm.inference.recommending import recommend
    from tonearm.recommend.request import Request

    started = time.perf_counter()
    fields = dict(question)
    if fields.pop("windows"):  # windows are heard
        with nullcontext() if audio else front.admission.listened():  # who sends audio was let in with it
            return answered(await front.ask(shelf, "recommend", audio, dict(question)))
    said: dict[str, Any] = {"task": "seeds", **shelf.signature}
    recording: Described | None = None
    if audio or name:
        asked = ("listen", audio) if audio else ("recall", name)
        heard = answered(await front.ask(shelf, *asked, shelf.has_descriptors))
        recording = heard["described"]
        said = {**heard["said"], "recording": heard["name"]}
    given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    request = Request(**given)
    found = await _read(library, lambda: recommend(library, request, recording).to_dict())
    return said | found | {"seconds": time.perf_counter() - started}


async def way(
    front: Front, a: str, b: str, n: int, where: Mapping[str, Any], listener: str | None = None
) -> dict[str, Any]:
    """The way from one track of the library to another.

    Raises
    ------
    RefusedError
        If there is none.
    """
    from tonearm.inference.recommending import find_way

    started = time.perf_counter()
    shelf, arm = await front.assign(json.dumps([a, b]).encode(), listener)
    library = library_of(shelf)
    steps = await _read(library, lambda: {"steps": find_way(library, a, b, n, where).to_list()})
    return steps | shelf.signature | {"arm": arm, "seconds": time.perf_counter() - started}


async def track_of(front: Front, track_id: str, listener: str | None = None) -> dict[str, Any]:
    """What is known of a track of the library, its descriptors beside all.

    Raises
    ------
    RefusedError
        404 if there is no such track.
    """
    shelf, arm = await front.assign(track_id.encode(), listener)
    return await asyncio.to_thread(whole_row, library_of(shelf), track_id) | shelf.signature | {"arm": arm}


async def find_tracks(front: Front, words: str, k: int, listener: str | None = None) -> dict[str, Any]:
    """The tracks of the library in which all words occur.

    Raises
    ------
    RefusedError
        409 if there is no library.
    """
    shelf, arm = await front.assign(words.encode(), listener)
    library = library_of(shelf)
    count, rows = await asyncio.to_thread(found_tracks, library, words, k)
    return {"count": count, "tracks": rows, **shelf.signature, "arm": arm}


async def track_sample(
    front: Front, track_id: str, what: str, *part: float | None, listener: str | None = None
) -> bytes:
    """A ``clip`` or a ``picture`` of a track of the library; ``part``: of a clip its start and its seconds.

    Raises
    ------
    RefusedError
        404 if there is no such track, or its recording is gone.
    """
    shelf, _ = await front.assign(track_id.encode(), listener)
    source = (await asyncio.to_thread(row_of, library_of(shelf), track_id)).get("source")
    if not source:
        how = command("index", "--audio", "FOLDER", "--model", shelf.version.to_type)
        raise RefusedError(
            404, "no_recording", f"the catalogue does not say where {track_id} lies: make one with {how}"
        )
    with front.admission.listened():
        found = await front.ask(shelf, "sample", source, what, *part)
    if isinstance(found, bytes):
        return found
    raise RefusedError(404, found["problem"], found["detail"])


def library_of(shelf: Shelf) -> Library:
    """The library of a version.

    Raises
    ------
    RefusedError
        409 if it has none.
    """
    if shelf.library is None and shelf.unread:
        raise RefusedError(503, "damaged", "the catalogue cannot be read now; this is our fault, and the log has why")
    if shelf.library is None:
        how = command("index", "--audio", "FOLDER", "--model", shelf.version.to_type)
        detail = f"the model {shelf.version.name} has no catalogue: it answers /v1/classify; to recommend, make one: "
        raise RefusedError(409, "no_catalogue", detail + how)
    return shelf.library


def answered(result: dict[str, Any]) -> dict[str, Any]:
    """A listener's answer.

    Raises
    ------
    RefusedError
        If it is a problem.
    """
    if "problem" in result:
        reason = result["problem"]
        raise RefusedError(STATUS_BY_REASON.get(reason, 422), reason, result["detail"])
    return result


async def _content(audio: bytes, recording: str) -> bytes:
    """What a recording is known by, that was sent or that is named; nothing where there is none."""
    return await asyncio.to_thread(audio_key, audio) if audio else bytes.fromhex(recording)


def audio_key(audio: bytes) -> bytes:
    """What a recording is known by: the digest of its bytes."""
    return hashlib.blake2b(audio, digest_size=16).digest()


async def _read(library: Library, answer: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """An answer from the library, made beside the event loop if it takes longer than to hand it over.

    Raises
    ------
    RefusedError
        422 of a question that cannot be answered, 503 of a damaged catalogue.
    """

    def read() -> dict[str, Any]:
        try:
            return answer()
        except ConfigError as error:
            return {"problem": "impossible", "detail": str(error)}
        except TonearmError as error:
            return damaged(error)

    return answered(read() if len(library) <= QUICK else await asyncio.to_thread(read))

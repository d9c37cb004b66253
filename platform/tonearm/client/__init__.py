"""A client of the server: what it can be asked, with types, and asked again where that helps.

::

    from tonearm.client import Client

    with Client("http://127.0.0.1:8000") as client:
        print(client.classify("song.mp3"))
        for answer in client.batch(["one.mp3", "two.mp3"]):
            print(answer.file, answer.answer or answer.problem)

It needs httpx alone.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, cast
from urllib.parse import quote, urlsplit

import httpx

from tonearm.client import answers
from tonearm.client.retries import Retries, as_error
from tonearm.core.errors import ClientError, ConfigError

__all__ = ["BatchAnswer", "Client", "ClientError", "answers"]

Audio = str | os.PathLike[str] | bytes
LOOPBACK = ("127.0.0.1", "::1", "localhost")  # is asked without a proxy
LISTENER_HEADER = "Tonearm-Listener"
LONGEST_ADDRESS = 2000  # characters of a query: it is quicker than a body, and not every proxy lets longer ones pass
MOST_FILES, MOST_BYTES = 32, 50 * 2**20  # of one request of a batch


@dataclass(frozen=True)
class BatchAnswer:
    """What became of a file of a batch.

    Attributes
    ----------
    file
        As it was named.
    answer
        What it is; None: see ``problem``.
    problem
        Why it cannot be told.
    """

    file: str
    answer: answers.Classification | None
    problem: ClientError | None


class Client:
    """Asks a server of Tonearm.

    A recording is a file's name, or its bytes. All methods raise :class:`ClientError` for what the server refuses, and
    if it does not answer in time; :class:`OSError` if a file cannot be read.

    Parameters
    ----------
    url
        Where it is: ``http://127.0.0.1:8000``.
    token
        That it demands; empty: none.
    seconds
        That an answer may take, all tries together; above 0.
    listener
        A random id of who is asked for: the same one always gets the same arm of an experiment, and :meth:`feedback` is
        his; empty: nobody's. Make one with ``secrets.token_urlsafe``.
    """

    def __init__(self, url: str, token: str = "", seconds: float = 60.0, listener: str = "") -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"{url!r} is no address of a server: give http://127.0.0.1:8000")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(base_url=url, headers=headers, trust_env=parts.hostname not in LOOPBACK)
        self.seconds, self.listener = seconds, listener

    @property
    def listener(self) -> str:
        """Who is asked for; may be changed from one question to the next."""
        return str(self._http.headers.get(LISTENER_HEADER, ""))

    @listener.setter
    def listener(self, listener: str) -> None:
        self._http.headers.pop(LISTENER_HEADER, None)
        if listener:
            self._http.headers[LISTENER_HEADER] = listener

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
                 ) -> None:  # fmt: skip
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def classify(self, audio: Audio, timeline: bool = False) -> answers.Classification:
        """What a recording is; with ``timeline``, what is heard in each window, too."""
        query = {"timeline": True} if timeline else {}
        return cast("answers.Classification", self._listen("/v1/classify", audio, **query))

    def playlists(self, audio: Audio) -> answers.FitnessAnswer:
        """How well a recording fits each playlist: of a model that has learned playlists."""
        return cast("answers.FitnessAnswer", self._listen("/v1/playlists", audio))

    def attributes(self, audio: Audio) -> answers.Attributes:
        """Tempo, key, loudness and the like of a recording."""
        return cast("answers.Attributes", self._listen("/v1/attributes", audio))

    def recommend(self, audio: Audio | None = None, **question: Any) -> answers.Recommendation:
        """Which tracks sound like a recording, like what is liked, or both.

        Parameters
        ----------
        question
            ``like``, ``dislike``, ``artists``, ``taste``, ``k``, ``where``, ``not_same``, ``diversity``, ``sliders``,
            ``windows``, as ``/docs`` of the server describes them.
        """
        fields = {n: json.dumps(v) if isinstance(v, Mapping) else v for n, v in question.items()}
        plain = not {"uri", "recording"} & fields.keys() and None not in fields.values()
        if audio is None and plain and len(str(httpx.QueryParams(fields))) <= LONGEST_ADDRESS:
            return cast("answers.Recommendation", self._got("/v1/recommend", **fields))
        if audio is None:
            return cast("answers.Recommendation", _read(self._asked("POST", "/v1/recommend", json=question)))
        form = {"files": {"audio": _bytes(audio)}, "data": fields}
        return cast("answers.Recommendation", _read(self._asked("POST", "/v1/recommend", **form)))

    def path(self, a: str, b: str, n: int = 5, where: Mapping[str, Any] | None = None) -> answers.Path:
        """The way from one track to another, with ``n`` between them."""
        query = {"a": a, "b": b, "n": n, "where": json.dumps(dict(where or {}))}
        return cast("answers.Path", self._got("/v1/path", **query))

    def track(self, track_id: str) -> answers.TrackAnswer:
        """What is known of a track of the catalogue."""
        return cast("answers.TrackAnswer", self._got(_track(track_id)))

    def clip(self, track_id: str) -> bytes:
        """Some seconds of a track: MP3."""
        return self._asked("GET", f"{_track(track_id)}/clip").content

    def picture(self, track_id: str) -> bytes:
        """The spectrogram of a track: PNG."""
        return self._asked("GET", f"{_track(track_id)}/picture").content

    def search(self, words: str, k: int = 20) -> answers.FoundTracks:
        """The tracks of the catalogue in which all words occur, at most ``k``."""
        return cast("answers.FoundTracks", self._got("/v1/search", q=words, k=k))

    def feedback(
        self, kind: Literal["like", "dislike", "skip", "play"], track_id: str, event_id: str = "", **said: Any
    ) -> answers.FeedbackKept:
        """Say what the listener did with a track; sent again until it is kept, which it is once.

        Parameters
        ----------
        kind
            ``play``: it was heard; ``skip``: it was left, which needs ``seconds``.
        event_id
            Made at random; empty: one is made here.
        said
            ``seed``, ``seconds``, ``position``, ``request_id``, and of the answer ``model``, ``version``, ``arm``, as
            ``/docs`` of the server describes them.

        Raises
        ------
        ConfigError
            If the client has no listener.
        """
        if not self.listener:
            raise ConfigError("feedback is somebody's: make the client with listener=secrets.token_urlsafe()")
        event = {"event_id": event_id or secrets.token_urlsafe(), "listener": self.listener, "kind": kind,
                 "track_id": track_id, **said}  # fmt: skip
        return cast("answers.FeedbackKept", _read(self._asked("POST", "/v1/feedback", json=event)))

    def forget(self) -> answers.ListenerForgotten:
        """Let the server delete all feedback of the listener."""
        if not self.listener:
            raise ConfigError("nobody can be forgotten: the client has no listener")
        url = f"/v1/feedback/{quote(self.listener, safe='')}"
        return cast("answers.ListenerForgotten", _read(self._asked("DELETE", url)))

    def model(self) -> answers.ServedModel:
        """The model that answers."""
        return cast("answers.ServedModel", self._got("/v1/model"))

    def health(self) -> answers.Health:
        """How the server is."""
        return cast("answers.Health", self._got("/healthz"))

    def batch(self, files: Iterable[str | os.PathLike[str]], timeline: bool = False) -> Iterator[BatchAnswer]:
        """What each of many files is, as soon as it is known, in no order; the time counts anew from each answer.

        Files that were not answered since the server was busy, or gone, are sent again.
        """
        retries = Retries(self.seconds)
        for part in _parts(files):
            left = dict(enumerate(part))
            while left:
                try:
                    with closing(self._lines(list(left.items()), timeline, retries)) as lines:
                        for place, said in lines:
                            problem = as_error(said["problem"]) if said.get("problem") else None
                            if problem is not None and problem.status == 503:
                                continue
                            retries.renew()
                            yield BatchAnswer(left.pop(place), said.get("answer"), problem)
                    if left:
                        retries.wait(ClientError("busy", f"{len(left)} files were not answered: try later", 503))
                except httpx.TransportError as error:
                    retries.wait(ClientError("no_answer", f"{type(error).__name__}: {error}", 0))

    def _lines(
        self, files: Sequence[tuple[int, str]], timeline: bool, retries: Retries
    ) -> Generator[tuple[int, dict[str, Any]]]:
        """Lines of a batch, with the number of the file that each is of."""

        def ask(timeout: httpx.Timeout) -> httpx.Response:
            with ExitStack() as opened:
                form = [("audio", (Path(name).name, opened.enter_context(Path(name).open("rb")))) for _, name in files]
                query = {"timeline": timeline}
                request = self._http.build_request("POST", "/v1/batch", files=form, params=query, timeout=timeout)
                return self._http.send(request, stream=True)

        with closing(retries.send(ask)) as answer:
            for line in answer.iter_lines():
                try:
                    said = json.loads(line)
                    number = files[said["place"]][0]
                except (ValueError, LookupError, TypeError):
                    raise _no_json(answer, line) from None
                yield number, said

    def _listen(self, url: str, audio: Audio, **query: Any) -> Any:
        return _read(self._asked("POST", url, content=_bytes(audio), params=query))

    def _got(self, url: str, **query: Any) -> Any:
        return _read(self._asked("GET", url, params=query))

    def _asked(self, method: str, url: str, **request: Any) -> httpx.Response:
        return Retries(self.seconds).send(lambda timeout: self._http.request(method, url, timeout=timeout, **request))


def _read(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except json.JSONDecodeError:
        raise _no_json(answer, answer.text) from None


def _no_json(answer: httpx.Response, text: str) -> ClientError:
    said = f"{answer.url} answers {text[:60]!r}, not what we understand: is it a server of Tonearm?"
    return ClientError("no_json", said, answer.status_code)


def _bytes(audio: Audio) -> bytes:
    return audio if isinstance(audio, bytes) else Path(audio).read_bytes()


def _track(track_id: str) -> str:
    return f"/v1/tracks/{quote(track_id, safe='')}"


def _parts(files: Iterable[str | os.PathLike[str]]) -> Iterator[list[str]]:
    """Files in parts that one request may have."""
    part, size = list[str](), 0
    for name in [os.fspath(file) for file in files]:
        own = Path(name).stat().st_size
        if part and (len(part) == MOST_FILES or size + own > MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(name)
        size += own
    if part:
        yield part

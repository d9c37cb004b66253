"""What stands in front of the application: who may ask, who must wait, how fast, and what is taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from serve import page, subsonic
from serve.access import OPEN_PATHS, Access, HeadAsGet, Tokens, tokens_uri
from serve.admission import Admission, AdmissionMiddleware
from serve.docs import PATHS
from serve.first_bytes import AUDIO_PATHS, FirstBytes
from serve.hosts import Hosts
from serve.paths import own_path
from serve.rates import Rates
from serve.reading import ReadDeadline
from serve.schemas_feedback import LISTENER_HEADER
from serve.settings import LOOPBACK, AppArgs
from serve.uploads import MULTIPART_OVERHEAD


def takes_audio(scope: Scope) -> bool:
    """Whether the body of a request is one recording, or a form with it."""
    return scope["method"] == "POST" and own_path(scope) in AUDIO_PATHS


def needs_listener(scope: Scope) -> bool:
    """Whether a request waits for the Listener: with a recording, not with a JSON object that names tracks."""
    kind = Headers(scope=scope).get("content-type", "").lower()
    return takes_audio(scope) and not kind.startswith("application/json")


@dataclass(frozen=True)
class Guards:
    """The settings of what stands in front, in the order in which a request meets them.

    Attributes
    ----------
    origins
        Of pages whose scripts may ask (CORS): none, ``"*"`` any.
    hosts
        As :class:`serve.hosts.Hosts` has them; none: any.
    tokens, rates
        As :class:`serve.access.Access` has them.
    admission
        Who waits for the Listener.
    largest_body
        Bytes that are taken of any body.
    first_seconds, bytes_per_second
        As :class:`serve.reading.ReadDeadline` has them.
    """

    admission: Admission = field(default_factory=Admission)
    largest_body: int = 50 * 2**20
    hosts: Sequence[str] = ()
    tokens: Tokens | None = None
    rates: Rates | None = None
    origins: Sequence[str] = ()
    first_seconds: float = 5.0
    bytes_per_second: float = 64 * 1024

    def around(self, app: ASGIApp) -> ASGIApp:
        """An application with all of them in front."""
        app = ReadDeadline(FirstBytes(app, takes_audio), self.first_seconds, self.bytes_per_second)
        app = AdmissionMiddleware(app, self.admission, needs_listener, self.largest_body)
        app = Access(HeadAsGet(app), self.tokens, self.rates, OPEN_PATHS | PATHS | page.paths() | subsonic.OPEN_PATHS)
        app = subsonic.FormAsQuery(app, self.first_seconds)
        if self.origins:
            app = CORSMiddleware(
                app,
                allow_origins=self.origins,
                allow_methods=["GET", "HEAD", "POST", "DELETE"],
                allow_headers=["Authorization", "Content-Type", LISTENER_HEADER],
                expose_headers=["Retry-After", "WWW-Authenticate", "X-Request-ID"],
            )
        return Hosts(app, self.hosts) if self.hosts else app


def guards_of(args: AppArgs) -> Guards:
    """The guards of an application with such settings, in one of its ingresses.

    Raises
    ------
    ConfigError
        If the rate is none, or the file of tokens is damaged.
    """
    workers = max(args.replicas, args.most_replicas) / args.ingresses
    return Guards(
        admission=Admission(args.most_wait_seconds, args.most_bytes_held, workers),
        largest_body=args.max_upload_bytes + MULTIPART_OVERHEAD,
        hosts=() if args.tokens and not args.hosts else (*LOOPBACK, *args.hosts),
        tokens=Tokens(tokens_uri()) if args.tokens else None,
        rates=Rates(args.rate) if args.rate else None,
        origins=args.origins,
        first_seconds=args.first_seconds,
        bytes_per_second=args.bytes_per_second,
    )


class Guarded:
    """ASGI middleware: the guards that a function gives, asked for when the first request comes.

    A replica of Ray Serve knows its settings only when its application, with all middleware, has been made.
    """

    def __init__(self, app: ASGIApp, guards: Callable[[], Guards]) -> None:
        self._app, self._guards, self._found = app, guards, app
        self._last: Guards | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        guards = self._guards()
        if guards is not self._last:
            self._last, self._found = guards, guards.around(self._app)
        await self._found(scope, receive, send)

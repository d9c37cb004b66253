"""The only place where the application is put together: ``serve run serve.app:build model=...``.

Annotations here are objects, not text (no ``from __future__ import annotations``): Ray reads the builder's to make
:class:`AppArgs` from a YAML file or a command line, and would otherwise hand over a plain dict.
"""

from ray import serve
from ray.serve import Application

from serve.access import require_tokens, tokens_uri
from serve.follower import Follower
from serve.holding import SURGE, replica_options
from serve.ingress import Ingress
from serve.log_settings import log_settings
from serve.settings import INGRESS_CPUS, AppArgs
from serve.versions import Version


def build(args: AppArgs) -> Application:
    """The application that answers HTTP. Versions of the model are applications of their own, one a version: the
    follower begins and ends them.

    Parameters
    ----------
    args
        Checked before anything starts.

    Raises
    ------
    ConfigError
        If they do not say ``tokens: false``, and nobody has a token: where Serve listens is not known here, and others
        may reach it.
    """
    tokens = require_tokens("the host of a deployment", tokens_uri()) if args.tokens is None else args.tokens
    return application(args.model_copy(update={"tokens": tokens}), None)


def application(args: AppArgs, first: Version | None) -> Application:
    """:func:`build`; ``first`` is what the model's alias means, if that is known."""
    follower = serve.deployment(
        Follower,
        name="Follower",
        num_replicas=1,
        max_ongoing_requests=64,
        ray_actor_options=replica_options(0.0),
        logging_config=log_settings(),
    )
    ingress = serve.deployment(
        Ingress,
        name="Ingress",
        num_replicas=args.ingresses,
        max_ongoing_requests=1000,  # it admits, and says no, itself
        max_surge_percent=SURGE,
        ray_actor_options=replica_options(INGRESS_CPUS, works=False),
        logging_config=log_settings(),
    )
    settings = args.model_dump()
    # Ray's stubs lose the type of a deployment that is made by calling the decorator.
    bound: Application = ingress.bind(follower.bind(settings, first), settings)  # type: ignore[attr-defined]
    return bound

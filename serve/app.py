"""The only place where the application is put together: ``serve run serve.app:build model=...``.

Annotations here are objects, not text (no ``from __future__ import annotations``): Ray reads the builder's to make
:class:`AppArgs` from a YAML file or a command line, and would otherwise hand over a plain dict.
"""

from ray import serve
from ray.serve import Application

from serve.deployments import ModelReplica
from serve.ingress import Ingress
from serve.settings import INGRESS_CPUS, AppArgs
from tonearm.core import home
from tonearm.core.threads import thread_environment


def build(args: AppArgs) -> Application:
    """The application: an ingress in front of ``args.replicas`` copies of the model.

    Parameters
    ----------
    args
        Checked before anything starts.
    """
    environment = {"env_vars": {**thread_environment(), **home.place_variables()}}  # the registry is the driver's
    replica = serve.deployment(
        ModelReplica,
        name="ModelReplica",
        num_replicas=args.replicas,
        max_ongoing_requests=4,  # decoding keeps a CPU busy: more requests at once would only queue in the replica
        ray_actor_options={"num_cpus": args.cpus, "runtime_env": environment},
    )
    ingress = serve.deployment(
        Ingress,
        name="Ingress",
        max_ongoing_requests=64,
        ray_actor_options={"num_cpus": INGRESS_CPUS, "runtime_env": environment},
    )
    # Ray's stubs lose the type of a deployment that is made by calling the decorator.
    bound_replica = replica.bind(args.model, args.max_seconds, args.allowed_modules)  # type: ignore[attr-defined]
    application: Application = ingress.bind(bound_replica, args.model_dump())  # type: ignore[attr-defined]
    return application

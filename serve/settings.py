"""Settings of the served application; unknown keys are errors."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from serve.versions import challenger_uri
from tonearm.core.errors import ConfigError
from tonearm.core.plugins import allowed_modules

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

MAX_NEIGHBOURS = 50
CLIP_SECONDS = 30.0  # of a track that can be listened to
MAX_HEARD = 10  # of which windows are told: each is decoded
MOST_SEEDS = 100  # track ids that are liked, that are disliked, and artists
MOST_CONDITIONS = 20  # and sliders
INGRESS_CPUS = 0.1  # share that Ray reserves for an ingress, which waits more than it works


class AppArgs(BaseModel):
    """Arguments of :func:`serve.app.build`, from a YAML file or from a job."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(min_length=1, description="bundle folder or URI, or models:/tonearm-scores@champion")
    name: str = Field(default="tonearm", pattern="^[a-z][a-z0-9_]*$", description="of the application in Serve")
    max_upload_bytes: int = Field(default=50 * 2**20, gt=0, le=256 * 2**20, description="larger uploads: 413")
    batch_files: int = Field(default=100, gt=0, description="that one batch may have")
    batch_bytes: int = Field(default=100 * 2**20, gt=0, le=256 * 2**20, description="of a batch; more is 413")
    batch_at_once: int = Field(default=4, gt=0, description="files of a batch that are answered at a time")
    max_seconds: float = Field(default=900.0, gt=0, description="longer recordings are refused with 413")
    neighbours: int = Field(default=5, ge=1, le=MAX_NEIGHBOURS, description="default number of neighbours")
    replicas: int = Field(default=1, ge=1, description="copies of the model")
    most_replicas: int = Field(default=0, ge=0, description="copies of the model under load; 0: no more than replicas")
    ingresses: int = Field(default=2, ge=1, description="copies of what answers HTTP: one may die")
    cpus: float = Field(default=0.5, gt=0, description="CPU share that Ray reserves for a copy")
    gpus: float = Field(default=0.0, ge=0, description="share of a GPU that Ray reserves for a copy")
    follow_seconds: float = Field(default=5.0, ge=0, description="how often an alias is looked up; 0: only once")
    canary_share: float = Field(default=0.1, ge=0, le=1, description="of requests that try a new version first")
    canary_seconds: float = Field(default=10.0, ge=0, description="how long a new version is tried")
    tokens: bool | None = Field(
        default=None,
        description="whether who asks needs a token, made by tonearm serve --new-token NAME; unless it is said a "
        "deployment needs them, and tonearm serve where others can reach it",
    )
    hosts: tuple[str, ...] = Field(
        default=(),
        description="by which it may be asked, beside this machine's own; none: any, if there are tokens",
    )
    rate: str = Field(default="", description="how often a token may ask, such as 60/minute; empty: as it likes")
    origins: tuple[str, ...] = Field(default=(), description="of pages whose scripts may ask (CORS)")
    most_wait_seconds: float = Field(default=10.0, gt=0, description="who would wait longer is told 503 at once")
    most_bytes_held: int = Field(default=256 * 2**20, gt=0, description="of uploads at a time, in each ingress")
    first_seconds: float = Field(default=5.0, gt=0, description="in which an upload must begin")
    bytes_per_second: float = Field(default=64 * 1024.0, gt=0, description="that an upload must keep up; else 408")
    cache_bytes: int = Field(default=32 * 2**20, ge=0, description="of answers that are remembered, in each ingress")
    uris: tuple[str, ...] = Field(default=(), description="prefixes of URIs whose recordings may be asked for")
    challenger: str = Field(
        default="",
        description="that a share of the listeners gets: an alias of the same model, or a model; empty: none",
    )
    share: float = Field(default=0.5, gt=0, lt=1, description="of the listeners that get the challenger")
    salt: str = Field(
        default="1",
        min_length=1,
        max_length=100,
        description="name of the experiment: another one assigns listeners anew",
    )
    allowed_modules: tuple[str, ...] = Field(
        default_factory=allowed_modules,
        description="modules outside Tonearm that the model may have imported; by default TONEARM_ALLOWED_MODULES",
    )

    @field_validator("challenger")
    @classmethod
    def _find_challenger(cls, challenger: str, info: ValidationInfo) -> str:
        """The challenger as a URI, whatever it was called."""
        try:
            return challenger_uri(str(info.data.get("model", "")), challenger) if challenger else ""
        except ConfigError as error:
            raise ValueError(str(error)) from None

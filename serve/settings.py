"""Settings of the served application; unknown keys are errors."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from tonearm.core.plugins import allowed_modules

MAX_NEIGHBOURS = 50
INGRESS_CPUS = 0.1  # share that Ray reserves for the ingress, which waits more than it works


class AppArgs(BaseModel):
    """Arguments of :func:`serve.app.build`, from a YAML file or from a job."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(min_length=1, description="bundle folder or URI, or models:/tonearm-scores@champion")
    max_upload_bytes: int = Field(default=50 * 2**20, gt=0, description="larger uploads are refused with 413")
    max_seconds: float = Field(default=900.0, gt=0, description="longer recordings are refused with 413")
    neighbours: int = Field(default=5, ge=1, le=MAX_NEIGHBOURS, description="default number of neighbours")
    replicas: int = Field(default=1, ge=1, description="copies of the model")
    cpus: float = Field(default=0.5, gt=0, description="CPU share that Ray reserves for a copy")
    allowed_modules: tuple[str, ...] = Field(
        default_factory=allowed_modules,
        description="modules outside Tonearm that the model may have imported; by default TONEARM_ALLOWED_MODULES",
    )

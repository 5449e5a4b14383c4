"""Settings of `ytb-ads deploy`: how the work pools start their runs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from flows.settings.section import Section

PoolType = Literal["process", "docker", "kubernetes"]


class PoolSettings(Section):
    """A work pool; all but `type` is for containers."""

    type: PoolType = "process"
    """`process`: a worker's host has the package; `docker`, `kubernetes`: each run is a container of `image`."""
    image: str = "ytb-ads"
    """Image, made as `deploy/Dockerfile` says, where the host or the cluster finds it."""
    catalog: str | None = None
    """Place of the catalog in a container, where that is not the image's own `/data/catalog`."""
    home: str | None = None
    """Mounted at `/work`, with `ytb_ads.toml` and `.env`: a folder of the docker host, or a Kubernetes Secret."""
    data: str | None = None
    """Mounted at `/data`: a folder or volume of the docker host, or a Kubernetes PersistentVolumeClaim."""
    gpus: Annotated[int, Field(ge=0)] = 0
    """GPUs that a container asks for."""
    job_variables: dict[str, str | int | list[str]] = Field(default_factory=dict)
    """Further variables of Prefect's worker: `namespace`, `memory_limit`, `networks` and the like."""


class GpuPoolSettings(PoolSettings):
    """The work pool of trainings; all but `type` is for containers."""

    gpus: Annotated[int, Field(ge=0)] = 1
    """GPUs that a container asks for."""


class DeploySettings(Section):
    """Work pools that `ytb-ads deploy` makes, for the rebuild and for the training."""

    cpu: PoolSettings = PoolSettings()
    gpu: GpuPoolSettings = GpuPoolSettings()

"""Settings of `ytb-ads deploy`: how the work pools start their runs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from flows.settings.section import Section

PoolType = Literal["process", "docker", "kubernetes"]


class PoolSettings(Section):
    """A work pool; all settings but `type` are for containers."""

    type: PoolType = "process"
    """`process`: runs use the worker host's package; `docker`, `kubernetes`: each run is a container of `image`."""
    image: str = "ytb-ads"
    """Image, built with `deploy/Dockerfile`, by a name that the host or the cluster can resolve."""
    catalog: str | None = None
    """Place of the catalog in a container, if it is not the image's own `/data/catalog`."""
    home: str | None = None
    """Mounted at `/work`, with `ytb_ads.toml` and `.env`: a folder of the docker host, or a Kubernetes Secret."""
    data: str | None = None
    """Mounted at `/data`: a folder or volume of the docker host, or a Kubernetes PersistentVolumeClaim."""
    gpus: Annotated[int, Field(ge=0)] = 0
    """Number of GPUs of a container."""
    job_variables: dict[str, str | int | list[str]] = Field(default_factory=dict)
    """More variables of Prefect's worker: `namespace`, `memory_limit`, `networks` and the like."""


class GpuPoolSettings(PoolSettings):
    """The work pool of trainings; all settings but `type` are for containers."""

    gpus: Annotated[int, Field(ge=0)] = 1
    """Number of GPUs of a container."""


class DeploySettings(Section):
    """Work pools that `ytb-ads deploy` creates for the rebuild and the training."""

    cpu: PoolSettings = PoolSettings()
    gpu: GpuPoolSettings = GpuPoolSettings()

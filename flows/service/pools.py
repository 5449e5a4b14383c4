"""Work pools: processes of a worker's host, containers of a docker host, or jobs of a Kubernetes cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from flows.errors import SettingsError
from flows.home import CATALOG_VARIABLE, HOME_VARIABLE
from flows.settings.deploy import PoolSettings, PoolType

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

WORK = "/work"
"""Folder of the settings in a container."""
DATA = "/data"
"""Folder of the data in a container."""
SHARED_MEMORY = "2g"
"""Shared memory of a container, through which torch's loaders hand over their batches; docker gives 64 MB."""


OF_CONTAINERS = ("image", "catalog", "home", "data", "job_variables")
"""Settings that say nothing of processes."""


def check_pool(name: str, settings: PoolSettings) -> None:
    """Refuse settings of a pool that would be passed over, or lose what its runs write.

    Raises:
        SettingsError: they are for containers and the pool is of processes, or a container's catalog ends with it.
    """
    if settings.type == "process":
        if unused := [key for key in OF_CONTAINERS if key in settings.model_fields_set]:
            raise SettingsError(
                f"deploy.{name}: {', '.join(unused)} is for containers, and the pool's type is 'process'; set "
                f"deploy.{name}.type to 'docker' or 'kubernetes', or leave it out"
            )
    elif not settings.data and not (settings.catalog or "").startswith("s3://"):
        raise SettingsError(
            f"deploy.{name}: what a container writes to its catalog would be gone with it; set deploy.{name}.data to "
            f"what is mounted at {DATA}, or deploy.{name}.catalog to a place in a bucket"
        )


def make_pool(client: SyncPrefectClient, name: str, settings: PoolSettings) -> bool:
    """Make a work pool if it is missing; whether it was.

    Raises:
        SettingsError: there is one of another type, or the package for this type is not installed.
    """
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectNotFound

    try:
        found = client.read_work_pool(name)
    except ObjectNotFound:
        template = job_template(settings.type)
        client.create_work_pool(WorkPoolCreate(name=name, type=settings.type, base_job_template=template))
        return True
    if found.type != settings.type:
        raise SettingsError(
            f"work pool {name} is there, of type {found.type!r}, and deploy.{name}.type is {settings.type!r}; stop its "
            f"workers, remove it with `prefect work-pool delete {name}`, and deploy again; or set deploy.{name}.type"
        )
    return False


def job_template(type_: PoolType) -> dict[str, Any]:
    """The base job template of a pool: that of Prefect's own worker, on Kubernetes with volumes and GPUs.

    Raises:
        SettingsError: the package of that worker is not installed.
    """
    try:
        return _TEMPLATES[type_]()
    except ImportError as error:
        raise SettingsError(
            f"a pool of type {type_!r} needs a package that is not installed: pip install 'ytb-ads[{type_}]'"
        ) from error


def job_variables(pool: str, settings: PoolSettings) -> dict[str, Any]:
    """Job variables of the deployments of a pool, beside their environment.

    Raises:
        SettingsError: a variable of the settings is none of this type of pool.
    """
    known = job_template(settings.type)["variables"]["properties"]
    if unknown := sorted(settings.job_variables.keys() - known.keys()):
        raise SettingsError(
            f"deploy.{pool}.job_variables: a pool of type {settings.type!r} has no {', '.join(unknown)}; it has "
            f"{', '.join(sorted(known))}"
        )
    return {**_VARIABLES[settings.type](settings), **settings.job_variables}


def environment(settings: PoolSettings) -> dict[str, str]:
    """Environment of a pool's runs; that of a process is its worker's."""
    if settings.type == "process":
        return {}
    return {HOME_VARIABLE: WORK, **({CATALOG_VARIABLE: settings.catalog} if settings.catalog else {})}


def _process_template() -> dict[str, Any]:
    from prefect.workers.process import ProcessWorker

    return ProcessWorker.get_default_base_job_template()


def _docker_template() -> dict[str, Any]:
    from prefect_docker.worker import DockerWorker

    return DockerWorker.get_default_base_job_template()


def _kubernetes_template() -> dict[str, Any]:
    from prefect_kubernetes.worker import KubernetesWorker

    template = KubernetesWorker.get_default_base_job_template()
    pod = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    for holder, key, name, type_, description in (
        (pod, "volumes", "volumes", "array", "Volumes of the pod."),
        (container, "volumeMounts", "volume_mounts", "array", "Where the container has them."),
        (container["resources"]["limits"], "nvidia.com/gpu", "gpus", "integer", "GPUs."),
    ):
        holder[key] = f"{{{{ {name} }}}}"
        template["variables"]["properties"][name] = {"title": name, "type": type_, "description": description}
    return template


def _docker_variables(settings: PoolSettings) -> dict[str, Any]:
    created: dict[str, Any] = {"shm_size": SHARED_MEMORY}
    if settings.gpus:
        created["device_requests"] = [{"driver": "nvidia", "count": settings.gpus, "capabilities": [["gpu"]]}]
    return {
        "image": settings.image,
        # one that was built on the host is in no registry
        "image_pull_policy": "IfNotPresent",
        "volumes": [
            *([f"{settings.home}:{WORK}:ro"] if settings.home else []),
            *([f"{settings.data}:{DATA}"] if settings.data else []),
        ],
        "container_create_kwargs": created,
    }


def _kubernetes_variables(settings: PoolSettings) -> dict[str, Any]:
    volumes: list[tuple[str, dict[str, Any], Mapping[str, Any]]] = [
        ("shared-memory", {"emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}}, {"mountPath": "/dev/shm"})  # noqa: S108
    ]
    if settings.home:
        secret = {"secret": {"secretName": settings.home}}
        volumes.append(("home", secret, {"mountPath": WORK, "readOnly": True}))
    if settings.data:
        volumes.append(("data", {"persistentVolumeClaim": {"claimName": settings.data}}, {"mountPath": DATA}))
    return {
        "image": settings.image,
        "volumes": [{"name": name, **source} for name, source, _ in volumes],
        "volume_mounts": [{"name": name, **place} for name, _, place in volumes],
        **({"gpus": settings.gpus} if settings.gpus else {}),
    }


_TEMPLATES: dict[PoolType, Callable[[], dict[str, Any]]] = {
    "process": _process_template,
    "docker": _docker_template,
    "kubernetes": _kubernetes_template,
}
_VARIABLES: dict[PoolType, Callable[[PoolSettings], dict[str, Any]]] = {
    "process": lambda settings: {},
    "docker": _docker_variables,
    "kubernetes": _kubernetes_variables,
}

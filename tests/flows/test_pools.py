"""Work pools of each type: Prefect's own workers build from them the container or the job that is wanted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from kubernetes_asyncio.client import V1Job
from kubernetes_asyncio.client.api_client import ApiClient
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.workers.base import BaseJobConfiguration
from prefect_docker.worker import DockerWorkerJobConfiguration
from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration

from flows.errors import SettingsError
from flows.service.pools import check_pool, environment, job_template, job_variables, make_pool
from flows.settings.deploy import PoolSettings, PoolType

DOCKER = PoolSettings(type="docker", image="ads:1", home="/etc/ads", data="videos", gpus=2, catalog="s3://ads/here")
KUBERNETES = DOCKER.model_copy(update={"type": "kubernetes", "job_variables": {"namespace": "ads"}})


@pytest.fixture
def pool(prefect_api: str) -> Iterator[str]:
    """Name of a pool that there is not."""
    name = f"pool-{uuid4().hex[:8]}"
    yield name
    with temporary_settings({PREFECT_API_URL: prefect_api}), get_client(sync_client=True) as client:
        client.delete_work_pool(name)


@pytest.mark.parametrize("type_", ["process", "docker", "kubernetes"])
def test_a_pool_is_made_on_a_server_once_and_none_of_another_type_is_taken_for_it(pool: str, type_: PoolType) -> None:
    other: PoolType = "docker" if type_ == "process" else "process"
    with get_client(sync_client=True) as client:
        assert make_pool(client, pool, PoolSettings(type=type_))
        assert not make_pool(client, pool, PoolSettings(type=type_))
        assert client.read_work_pool(pool).type == type_
        with pytest.raises(SettingsError, match=rf"of type '{type_}'.*prefect work-pool delete {pool}"):
            make_pool(client, pool, PoolSettings(type=other))
        assert client.read_work_pool(pool).type == type_


def test_a_run_on_docker_is_a_container_with_settings_data_and_gpus() -> None:
    job = prepared(DockerWorkerJobConfiguration, DOCKER)
    assert job.image == "ads:1"
    assert job.volumes == ["/etc/ads:/work:ro", "videos:/data"]
    assert job.container_create_kwargs["device_requests"] == [
        {"driver": "nvidia", "count": 2, "capabilities": [["gpu"]]}
    ]
    assert {"YTB_ADS_HOME": "/work", "YTB_ADS_CATALOG": "s3://ads/here", "GIVEN": "1"}.items() <= job.env.items()
    assert job.command == "prefect flow-run execute"


def test_a_run_on_kubernetes_is_a_job_that_its_own_client_takes() -> None:
    manifest = prepared(KubernetesWorkerJobConfiguration, KUBERNETES).job_manifest
    spec = as_kubernetes_reads(manifest)
    assert manifest["metadata"]["namespace"] == "ads"
    [container] = spec.containers
    assert container.image == "ads:1"
    assert container.resources.limits == {"nvidia.com/gpu": "2"}
    held = {volume.name: volume for volume in spec.volumes}
    assert {mount.mount_path: mount.name for mount in container.volume_mounts} == {
        "/dev/shm": "shared-memory",
        "/work": "home",
        "/data": "data",
    }
    assert held["home"].secret.secret_name == KUBERNETES.home
    assert held["data"].persistent_volume_claim.claim_name == "videos"
    given = {each.name: each.value for each in container.env}
    assert {"YTB_ADS_HOME": "/work", "YTB_ADS_CATALOG": "s3://ads/here"}.items() <= given.items()


def test_a_job_without_gpus_and_mounts_asks_for_none() -> None:
    spec = as_kubernetes_reads(prepared(KubernetesWorkerJobConfiguration, PoolSettings(type="kubernetes")).job_manifest)
    [container] = spec.containers
    assert not container.resources.limits
    assert [volume.name for volume in spec.volumes] == ["shared-memory"]


@pytest.mark.parametrize("type_", ["process", "docker", "kubernetes"])
def test_a_job_variable_that_the_type_of_pool_does_not_have_is_refused(type_: PoolType) -> None:
    with pytest.raises(SettingsError, match=r"deploy\.cpu\.job_variables: a pool of type .* has no nmespace"):
        job_variables("cpu", PoolSettings(type=type_, job_variables={"nmespace": "ads"}))


def prepared(kind: type[BaseJobConfiguration], settings: PoolSettings) -> Any:
    """What a worker of that type makes of a pool and a deployment's variables for one run, before it starts it."""
    values = {**job_variables("gpu", settings), "env": {"GIVEN": "1", **environment(settings)}}
    with temporary_settings({PREFECT_API_URL: "http://server:4200/api"}):
        job: Any = asyncio.run(kind.from_template_and_values(job_template(settings.type), values))
        job.prepare_for_flow_run(FlowRun(id=uuid4(), flow_id=uuid4(), name="train"))
    return job


def as_kubernetes_reads(manifest: dict[str, Any]) -> Any:
    """The pod of a job as the client's models of Kubernetes' API take it."""

    async def read() -> V1Job:
        async with ApiClient() as client:
            return client.deserialize(SimpleNamespace(data=json.dumps(manifest)), "V1Job")

    return asyncio.run(read()).spec.template.spec


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (PoolSettings(home="/etc/ads", catalog="s3://ads/here"), "catalog, home is for containers"),
        (PoolSettings(type="docker"), "would be gone with it"),
        (PoolSettings(type="kubernetes", catalog="/data/ads"), "would be gone with it"),
    ],
)
def test_settings_that_would_be_passed_over_or_lose_the_catalog_are_refused(settings: PoolSettings, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        check_pool("gpu", settings)


def test_settings_that_keep_the_catalog_are_taken() -> None:
    for settings in (PoolSettings(), PoolSettings(gpus=2), PoolSettings(type="docker", data="ads"), DOCKER):
        check_pool("gpu", settings)

"""Settings of the runners outside this process: the tables [beam.portable], [beam.flink], ..."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

Environment = Literal["loopback", "external", "docker", "process"]

# A host without a scheme, or an IPv6 address in brackets.
_ENDPOINT = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}", re.ASCII)
_MAX_PORT = 65535
_GCS_PLACE = re.compile(r"gs://[a-z0-9][a-z0-9._-]+[a-z0-9]/.*", re.ASCII)

# The setting that each environment needs.
_ENVIRONMENT_NEEDS = {"external": "worker_address", "docker": "image", "process": "command"}


def _flag(flag: str, default: Any = "") -> Any:
    """Return a field whose value, unless it is the default, becomes a flag of Beam."""
    return dataclasses.field(default=default, metadata={"flag": flag})


def is_endpoint(text: str) -> bool:
    """Return whether a text is HOST:PORT."""
    found = _ENDPOINT.fullmatch(text)
    return found is not None and 0 < int(text.rpartition(":")[2]) <= _MAX_PORT


class RunnerTable:
    """Base of the runners' tables: the flags of their fields, and what they lack."""

    @classmethod
    def own_flags(cls) -> dict[str, str]:
        """Return the keys that produce flags, by flag."""
        return {field.metadata["flag"]: field.name for field in cls._flag_fields()}

    def flags(self) -> list[str]:
        """Return Beam's flags for the table's values."""
        values = [(field, getattr(self, field.name)) for field in self._flag_fields()]
        return [
            field.metadata["flag"] if value is True else f"{field.metadata['flag']}={value}"
            for field, value in values
            if value != field.default
        ]

    @classmethod
    def _flag_fields(cls) -> list[dataclasses.Field[Any]]:
        fields = dataclasses.fields(cls)  # type: ignore[arg-type]  # its subclasses are dataclasses
        return [field for field in fields if "flag" in field.metadata]

    def missing(self) -> Iterator[str]:
        """Yield what has to be set before the runner can be used."""
        yield from ()


@dataclasses.dataclass(frozen=True)
class PortableSettings(RunnerTable):
    """Settings of the [beam.portable] table: a job service, and where its workers come from.

    Attributes:
      endpoint: HOST:PORT of the job service, as this machine reaches it.
      artifact_endpoint: HOST:PORT where artifacts are staged, if it is not the one that the job
        service tells.
      environment: "loopback" decodes in this process, for a job service on this machine;
        "external" in a pool that `genreflow beam-worker` runs; "docker" in containers that the
        runner starts; "process" in processes that the runner starts.
      worker_address: HOST:PORT of the pool of "external", as the runner reaches it.
      image: container image of "docker", made by `make image`.
      command: program of "process", on the runner's machines.
      sdk_workers: worker processes on each of the runner's machines; 0 lets the runner choose.
    """

    endpoint: str = _flag("--job_endpoint")
    artifact_endpoint: str = _flag("--artifact_endpoint")
    environment: Environment = "loopback"
    worker_address: str = ""
    image: str = ""
    command: str = ""
    sdk_workers: Annotated[int, Ge(0), Le(1024)] = _flag("--sdk_worker_parallelism", 1)

    def __post_init__(self) -> None:
        for name in ("endpoint", "artifact_endpoint", "worker_address"):
            value = getattr(self, name)
            if value and not is_endpoint(value):
                raise ValueError(
                    f"{name} = {json.dumps(value)}: must be HOST:PORT without a scheme, such as "
                    '"localhost:8099"'
                )

    def flags(self) -> list[str]:
        found = [*super().flags(), f"--environment_type={self.environment.upper()}"]
        if self.environment in _ENVIRONMENT_NEEDS:
            value = getattr(self, _ENVIRONMENT_NEEDS[self.environment])
            # Not --environment_option, with which Beam 2.65 fails for EXTERNAL.
            config = json.dumps({"command": value}) if self.environment == "process" else value
            found.append(f"--environment_config={config}")
        return found

    def missing(self) -> Iterator[str]:
        if not self.service:
            yield self._needed_service
        if self.environment in _ENVIRONMENT_NEEDS:
            name = _ENVIRONMENT_NEEDS[self.environment]
            if not getattr(self, name):
                yield f'{name}, which environment = "{self.environment}" needs'

    @property
    def service(self) -> str:
        """The address that jobs are submitted to, or ""."""
        return self.endpoint

    @property
    def _needed_service(self) -> str:
        return 'endpoint, the address of the job service, such as "localhost:8099"'


@dataclasses.dataclass(frozen=True)
class FlinkSettings(PortableSettings):
    """Settings of the [beam.flink] table: those of [beam.portable], and Flink's own.

    Attributes:
      endpoint: as for [beam.portable]: Beam's job server for Flink. Without it, Beam starts one on
        this machine, for which it needs Java.
      master: HOST:PORT of the cluster's REST service, for a job server that Beam starts.
      version: the cluster's version, such as "1.19", for a job server that Beam starts.
      job_server_jar: file or URL of that job server; "" downloads it from Maven Central.
      parallelism: number of parallel tasks; 0 takes the cluster's default.
    """

    master: str = _flag("--flink_master")
    version: str = _flag("--flink_version")
    job_server_jar: str = _flag("--flink_job_server_jar")
    parallelism: Annotated[int, Ge(0), Le(32768)] = _flag("--parallelism", 0)

    @property
    def service(self) -> str:
        return self.endpoint or self.master

    @property
    def _needed_service(self) -> str:
        return (
            'endpoint, the address of Beam\'s job server for Flink, such as "localhost:8099", or '
            'master, the address of the cluster, such as "flink:8081"'
        )


@dataclasses.dataclass(frozen=True)
class SparkSettings(PortableSettings):
    """Settings of the [beam.spark] table: those of [beam.portable], and Spark's own.

    Attributes:
      endpoint: as for [beam.portable]: Beam's job server for Spark. Without it, Beam starts one on
        this machine, for which it needs Java.
      master: URL of the cluster, such as "spark://spark:7077", for a job server that Beam starts.
      job_server_jar: file or URL of that job server; "" downloads it from Maven Central.
    """

    master: str = _flag("--spark_master_url")
    job_server_jar: str = _flag("--spark_job_server_jar")

    @property
    def service(self) -> str:
        return self.endpoint or self.master

    @property
    def _needed_service(self) -> str:
        return (
            'endpoint, the address of Beam\'s job server for Spark, such as "localhost:8099", or '
            'master, the URL of the cluster, such as "spark://spark:7077"'
        )


@dataclasses.dataclass(frozen=True)
class DataflowSettings(RunnerTable):
    """Settings of the [beam.dataflow] table: Google Cloud Dataflow.

    Attributes:
      project: id of the Google Cloud project.
      region: such as "europe-west1".
      temp_location: folder (gs://) for Dataflow's own files.
      staging_location: folder (gs://) for what is submitted; "" takes temp_location.
      image: container image of the workers, made by `make image`, in a registry that they reach.
      machine_type: such as "n2-standard-4"; "" lets Dataflow choose.
      workers: number of workers at the start; 0 lets Dataflow choose.
      max_workers: most workers that it may start; 0 lets Dataflow choose.
      disk_gb: disk of each worker in GB; 0 takes Dataflow's default.
      service_account: e-mail of the workers' service account; "" takes the project's default.
      network: Compute Engine network of the workers.
      subnetwork: their subnetwork, as "regions/REGION/subnetworks/NAME".
      private_ips: whether workers have no public addresses.
    """

    project: str = _flag("--project")
    region: str = _flag("--region")
    temp_location: str = _flag("--temp_location")
    staging_location: str = _flag("--staging_location")
    image: str = _flag("--sdk_container_image")
    machine_type: str = _flag("--worker_machine_type")
    workers: Annotated[int, Ge(0), Le(4000)] = _flag("--num_workers", 0)
    max_workers: Annotated[int, Ge(0), Le(4000)] = _flag("--max_num_workers", 0)
    disk_gb: Annotated[int, Ge(0), Le(64000)] = _flag("--disk_size_gb", 0)
    service_account: str = _flag("--service_account_email")
    network: str = _flag("--network")
    subnetwork: str = _flag("--subnetwork")
    private_ips: bool = _flag("--no_use_public_ips", False)

    def __post_init__(self) -> None:
        for name in ("temp_location", "staging_location"):
            value = getattr(self, name)
            if value and not _GCS_PLACE.fullmatch(value):
                raise ValueError(
                    f"{name} = {json.dumps(value)}: must be a folder in Google Cloud Storage, such "
                    'as "gs://bucket/temp"'
                )
        if self.max_workers and self.workers > self.max_workers:
            raise ValueError(
                f"workers = {self.workers}: more than max_workers = {self.max_workers}"
            )

    def missing(self) -> Iterator[str]:
        for name, what in (
            ("project", "the id of the Google Cloud project"),
            ("region", 'where the workers run, such as "europe-west1"'),
            ("temp_location", 'a folder for Dataflow\'s own files, such as "gs://bucket/temp"'),
            ("image", "the container image of the workers, made by `make image`"),
        ):
            if not getattr(self, name):
                yield f"{name}, {what}"

"""Compiled pipelines, executed without a volume.

Data, root and models are in an object store, ML Metadata in a MySQL-compatible server. A step is
killed while it writes.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import threading
import time
from typing import Any

import pytest

from components.synthesis import write_corpus
from kubeflow.compile import compiler
from kubeflow.steps import metadata_url, own_environment
from pipeline.config.load import load
from tests.support import s3_server
from tests.support.kubeflow_backend import Backend
from tests.support.kubeflow_volume import IMAGE, SMALLEST, check_metadata, outcomes, show
from tests.support.mariadb_server import PASSWORD, MariaDb

pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(1800)]

VICTIM = "ensembler"


class Killer:
    """Callback that kills the victim's first attempt (SIGKILL) after its first output object."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._s3, self._bucket = s3, bucket
        self.left: list[str] = []

    def objects(self) -> list[str]:
        found = self._s3.list_objects_v2(Bucket=self._bucket, Prefix="root/Ensembler/")
        return [item["Key"] for item in found.get("Contents", ())]

    def __call__(self, task: str, attempt: int, process: subprocess.Popen[str]) -> None:
        if task == VICTIM and attempt == 0:
            threading.Thread(target=self._watch, args=(process,), daemon=True).start()

    def _watch(self, process: subprocess.Popen[str]) -> None:
        while process.poll() is None:
            if any(not key.endswith("/") for key in self.objects()):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                self.left = self.objects()
                return
            time.sleep(0.02)


def test_a_bucket_and_a_database_are_enough(
    s3: Any, bucket: str, s3_proxy: s3_server.Proxy, mariadb: MariaDb, tmp_path: pathlib.Path
) -> None:
    write_corpus(str(tmp_path / "data"), tracks=16, track_seconds=3.0, workers=1)
    for path in sorted((tmp_path / "data").rglob("*")):
        if path.is_file():
            key = f"data/{path.relative_to(tmp_path / 'data').as_posix()}"
            s3.upload_file(str(path), bucket, key)
    (tmp_path / "config.toml").write_text(SMALLEST)
    settings = [
        f"kubeflow.image={IMAGE}",
        f"kubeflow.pipeline_root=s3://{bucket}/root",
        f"kubeflow.metadata={mariadb.url}",
        "kubeflow.metadata_secret=genreflow-metadata",
        "kubeflow.storage_secret=genreflow-storage",
        f'kubeflow.environment={{"AWS_ENDPOINT_URL_S3" = "{s3_proxy.endpoint}"}}',
        "kubeflow.retry_seconds=0",
    ]
    config = load(tmp_path / "config.toml", settings)
    compiled = tmp_path / "pipeline.yaml"
    compiler.compile_pipeline(config, config.kubeflow, str(compiled))
    killer = Killer(s3, bucket)
    secrets = {
        **{own_environment.compiled_name(k): value for k, value in s3_server.VARIABLES.items()},
        metadata_url.PASSWORD_VARIABLE: PASSWORD,
        # The launcher's own, for another store.
        "AWS_ACCESS_KEY_ID": "minio",
        "AWS_SECRET_ACCESS_KEY": "minio123",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
    }
    backend = Backend(
        compiled, tmp_path / "pages", environment=secrets, parallel=2, on_start=killer
    )

    run = backend.run("run-1", data_dir=f"s3://{bucket}/data")
    show(run)
    assert run.succeeded
    assert [attempt.status for attempt in run.of(VICTIM)] == [-signal.SIGKILL, 0]

    def read(key: str) -> bytes:
        content: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return content

    results = json.loads(read("root/runs/run-1/results.json"))
    assert set(outcomes(results).values()) == {"done"}
    version = results["pushed_version"]
    assert read(f"root/serving_models/genreflow/{version}/saved_model.pb")
    # Kubeflow's launcher would upload to this URI, so its artifact keeps Kubeflow's own.
    model = run.artifacts["pusher"]["model"]
    uri = f"s3://{bucket}/root/serving_models/genreflow/{version}"
    assert run.parameters["pusher"]["model_uri"] == model.metadata["model_uri"] == uri
    assert model.uri.startswith("minio://")
    assert b"<html" in read("root/runs/run-1/report/index.html")
    # The killed attempt's outputs were deleted before the next one wrote.
    assert killer.left
    (execution,) = {key.split("/")[3] for key in killer.objects()}
    assert {key.split("/")[3] for key in killer.left} == {execution}
    url = metadata_url.parse(mariadb.url)
    check_metadata(metadata_url.connection_config(url, secrets), ["run-1"])
    # No secret is in a log, in the compiled file or in the store.
    texts = [attempt.output for attempt in run.attempts] + [compiled.read_text()]
    texts.append(read("root/runs/run-1/pipeline.json").decode())
    for secret in (PASSWORD, s3_server.SECRET, s3_server.TOKEN):
        assert not any(secret in text for text in texts)

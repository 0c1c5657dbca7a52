"""The folder of one version for KServe, on a volume and in an object store."""

from __future__ import annotations

import pathlib
from typing import Any

from kubeflow.deploy import version_folder

FILES = ("saved_model.pb", "variables/variables.index", "assets/genres.txt")


def test_a_version_gets_a_folder_of_versions_with_it_alone(tmp_path: pathlib.Path) -> None:
    for version in ("16", "17"):
        for name in FILES:
            path = tmp_path / "genreflow" / version / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{version} {name}")
    models = str(tmp_path / "genreflow")
    folder = tmp_path / "genreflow-kserve" / "17"
    # What a killed attempt left is not taken for the version.
    (folder / ".17.partial").mkdir(parents=True)
    (folder / ".17.partial" / "saved_model.pb").write_text("half")
    assert version_folder.provide(models, "17") == str(folder)
    found = {path.relative_to(folder).as_posix(): path.read_text()
             for path in folder.rglob("*") if path.is_file()}  # fmt: skip
    assert found == {f"17/{name}": f"17 {name}" for name in FILES}
    (folder / "17" / "saved_model.pb").write_text("as it was")
    version_folder.provide(models, "17")
    assert (folder / "17" / "saved_model.pb").read_text() == "as it was"


def test_the_same_in_a_bucket(s3: Any, bucket: str) -> None:
    for name in FILES:
        s3.put_object(Bucket=bucket, Key=f"m/genreflow/17/{name}", Body=name.encode())
    folder = version_folder.provide(f"s3://{bucket}/m/genreflow", "17")
    assert folder == f"s3://{bucket}/m/genreflow-kserve/17"
    keys = {item["Key"] for item in s3.list_objects_v2(Bucket=bucket, Prefix="m/")["Contents"]}
    assert keys == {
        f"m/genreflow{place}/17/{name}" for place in ("", "-kserve/17") for name in FILES
    }
    version_folder.provide(f"s3://{bucket}/m/genreflow", "17")

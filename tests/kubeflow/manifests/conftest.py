"""Cluster files, built by kustomize from a copy that a test may change."""

from __future__ import annotations

import copy
import dataclasses
import pathlib
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.support import ROOT

MANIFESTS = ROOT / "kubeflow" / "manifests"


@dataclasses.dataclass(frozen=True)
class Manifests:
    """Copy of kubeflow/manifests.

    Attributes:
      folder: the copy, with a pipeline.yaml for the schedule.
      kustomize: path of the program.
      built: objects that were built before, by folder.
    """

    folder: pathlib.Path
    kustomize: str
    built: dict[str, list[dict[str, Any]]] = dataclasses.field(default_factory=dict)

    def build(self, folder: str) -> list[dict[str, Any]]:
        """Return the objects of a folder with a kustomization."""
        done = self.try_build(folder)
        assert done.returncode == 0, done.stderr
        return [document for document in yaml.safe_load_all(done.stdout) if document]

    def try_build(self, folder: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.kustomize, "build", str(self.folder / folder)],
            capture_output=True,
            text=True,
            check=False,
        )

    def variant(self, name: str) -> list[dict[str, Any]]:
        """Return the objects of an overlay, changed as users do: "s3", "s3+schedule", ...

        The schedule and KServe are lines that are commented out. `standalone` comes last, with
        Kubeflow's namespace.
        """
        if name not in self.built:
            self.built[name] = self._build_variant(name)
        return copy.deepcopy(self.built[name])

    def _build_variant(self, name: str) -> list[dict[str, Any]]:
        overlay, *added = name.split("+")
        made = self.folder / "overlays" / name.replace("+", "-")
        if added and not made.exists():
            text = (self.folder / "overlays" / overlay / "kustomization.yaml").read_text()
            for component in ("schedule", "kserve"):
                line = f"- ../../components/{component}\n"
                assert text.count(f"  # {line}") == 1
                if component in added:
                    text = text.replace(f"  # {line}", f"  {line}")
            if "standalone" in added:
                assert text.count("\nnamespace: genreflow\n") == 1
                text = text.replace("\nnamespace: genreflow\n", "\nnamespace: kubeflow\n")
                text = text.replace("\nimages:", "\n  - ../../components/standalone\nimages:")
            made.mkdir()
            (made / "kustomization.yaml").write_text(text)
        return self.build(f"overlays/{made.name}")


@pytest.fixture(scope="session")
def manifests(
    requires_program: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory
) -> Manifests:
    kustomize = requires_program("kustomize", "sigs.k8s.io/kustomize/kustomize")
    folder = tmp_path_factory.mktemp("kubeflow") / "manifests"
    # Files that git ignores may contain a developer's passwords and pipeline.
    shutil.copytree(MANIFESTS, folder, ignore=shutil.ignore_patterns("*.env", "pipeline.yaml"))
    (folder / "components" / "schedule" / "pipeline.yaml").write_text("pipelineInfo: {}\n")
    return Manifests(folder, kustomize)

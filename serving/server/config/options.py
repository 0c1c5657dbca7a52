"""What `genreflow serve` and `python -m serving.server` are told, as typed.

The fields of `ServeOptions` are the options of both command lines: `max_batch_size` is
`--max-batch-size`. Nothing heavy is imported here.
"""

from __future__ import annotations

import dataclasses
import pathlib

from components.common.model_contract import MODEL_NAME, SAVED_MODEL
from serving.model.model_files import VERSION_NAME
from serving.server.config.settings import (
    MODEL_NAME_PATTERN,
    Batching,
    ModelConfig,
    VersionPolicy,
)

ENGINES = ("genreflow", "tensorflow-serving", "auto")
NO_REST = -1


class OptionError(ValueError):
    """An option that cannot be used; the message names it and says what to do."""


@dataclasses.dataclass(frozen=True)
class ServeOptions:
    """Every option, with its default.

    Attributes:
      model_dir: the folder of a model's versions, or one version in it.
      model_name: what clients call the model.
      model_config_file: several models instead: TensorFlow Serving's ModelServerConfig as
        text (`model_config_list { config { name: ... base_path: ... } }`).
      host: the address to listen on.
      port: of gRPC; 0 for a free one.
      rest_port: of REST; 0 for a free one, -1 for none.
      model_root: the only folder that a reload request may take models from; "" for the
        folders that are served from the start.
      allow_reload: take reload requests although others can reach the address.
      batching: run requests of equal shapes together. None is yes for Genreflow's own server,
        where nobody waits for others unless they are there, and no for TensorFlow Serving, as
        by its own default.
      max_batch_size: rows in one such run.
      batch_timeout_ms: how long the first of them waits for others.
      poll_seconds: how often the folders are looked at for versions.
      policy: which versions are served: latest:N, all or specific:V,V.
      max_message_mb: the largest request, over either protocol, in MiB.
      max_waveform_seconds: the most sound in one request, all rows together.
      max_concurrent: requests in work at once; further ones are refused at once.
      tls_cert, tls_key: PEM files; both or none.
      tls_client_ca: PEM file; clients must then show a certificate that it signed.
      api_key_file: a file that holds the key which clients must send.
      grace_seconds: how long a stop waits for requests in work.
      engine: one of ENGINES.
      ready_file: where to say, as JSON, that everything is served and at which ports.
    """

    model_dir: str = ""
    model_name: str = MODEL_NAME
    model_config_file: str = ""
    host: str = "127.0.0.1"
    port: int = 8500
    rest_port: int = 8501
    model_root: str = ""
    allow_reload: bool = False
    batching: bool | None = None
    max_batch_size: int = Batching.max_batch_size
    batch_timeout_ms: float = 2.0
    poll_seconds: float = 1.0
    policy: str = "latest:1"
    max_message_mb: int = 64
    max_waveform_seconds: float = 600.0
    max_concurrent: int = 64
    tls_cert: str = ""
    tls_key: str = ""
    tls_client_ca: str = ""
    api_key_file: str = ""
    grace_seconds: float = 15.0
    engine: str = "genreflow"
    ready_file: str = ""

    def __post_init__(self) -> None:
        """Checks what can be checked without looking at files.

        Raises:
          OptionError: a value out of its range, or two that exclude each other.
        """
        if bool(self.model_dir) == bool(self.model_config_file):
            raise OptionError(
                "give the models by --model-dir or by --model-config-file, one of the two"
            )
        if not MODEL_NAME_PATTERN.fullmatch(self.model_name):
            raise OptionError(
                f"--model-name {self.model_name[:130]!r}: letters, digits, '_', '-' and '.' make a "
                "name, and the first is a letter or a digit"
            )
        _check_range("--port", self.port, 0, 65535)
        _check_range("--rest-port", self.rest_port, NO_REST, 65535)
        if self.port and self.port == self.rest_port:
            raise OptionError(f"--port and --rest-port are both {self.port}; each needs its own")
        _check_range("--max-batch-size", self.max_batch_size, 1, 4096)
        _check_range("--batch-timeout-ms", self.batch_timeout_ms, 0, 10_000)
        _check_range("--poll-seconds", self.poll_seconds, 0.05, 3600)
        _check_range("--max-message-mb", self.max_message_mb, 1, 1024)
        _check_range("--max-waveform-seconds", self.max_waveform_seconds, 1, 86_400)
        _check_range("--max-concurrent", self.max_concurrent, 1, 1024)
        _check_range("--grace-seconds", self.grace_seconds, 0, 3600)
        if self.engine not in ENGINES:
            raise OptionError(f"--engine {self.engine}: it is one of {', '.join(ENGINES)}")
        if bool(self.tls_cert) != bool(self.tls_key):
            raise OptionError("--tls-cert and --tls-key belong together; give both")
        if self.tls_client_ca and not self.tls_cert:
            raise OptionError("--tls-client-ca needs --tls-cert and --tls-key too")
        parse_policy(self.policy)

    def batching_settings(self) -> Batching | None:
        """None where requests run one by one."""
        if self.batching is False or (self.batching is None and self.engine != ENGINES[0]):
            return None
        return Batching(
            max_batch_size=self.max_batch_size, batch_timeout_s=self.batch_timeout_ms / 1000
        )

    def model_config(self) -> ModelConfig:
        """The model of --model-dir. A folder that is one version is served as that one alone."""
        folder = pathlib.Path(self.model_dir).absolute()
        if (folder / SAVED_MODEL).is_file() and VERSION_NAME.fullmatch(folder.name):
            only = VersionPolicy("specific", versions=(int(folder.name),))
            return ModelConfig(self.model_name, folder.parent, only)
        return ModelConfig(self.model_name, folder, parse_policy(self.policy))


def parse_policy(text: str) -> VersionPolicy:
    """latest:N (or latest), all, or specific:V,V.

    Raises:
      OptionError: it is none of these.
    """
    kind, _, rest = text.partition(":")
    try:
        if kind == "latest":
            return VersionPolicy("latest", count=int(rest) if rest else 1)
        if text == "all":
            return VersionPolicy("all")
        if kind == "specific":
            parts = rest.split(",")
            if all(VERSION_NAME.fullmatch(part) for part in parts):
                return VersionPolicy("specific", versions=tuple(int(part) for part in parts))
    except ValueError:
        pass
    raise OptionError(f"--policy {text}: it is latest:N, all or specific:V,V; for example latest:2")


def _check_range(option: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:  # false for NaN too
        raise OptionError(f"{option} {value:g}: it is from {least:g} to {most:g}")

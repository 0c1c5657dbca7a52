"""Options of `genreflow serve` and `python -m serving.server`.

The fields of `ServeOptions` are their single source: both command lines, the defaults, the help
texts and the server's settings come from them. To add an option, add a field here and use it.
Nothing heavy is imported.
"""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any, TypeVar

from components.common.model_contract import MODEL_NAME, SAVED_MODEL
from components.common.version_files import VERSION_NAME
from serving.protocol.names import API_KEY_VARIABLE
from serving.server.config.settings import (
    MODEL_NAME_PATTERN,
    Batching,
    Limits,
    ModelConfig,
    VersionPolicy,
)

GENREFLOW, TENSORFLOW_SERVING, AUTO = "genreflow", "tensorflow-serving", "auto"
ENGINES = (GENREFLOW, TENSORFLOW_SERVING, AUTO)
NO_REST = -1

_LIMITS, _ACCESS, _VERSIONS = "Limits and batches", "Encryption and access", "Models and versions"

_Default = TypeVar("_Default")


class OptionError(ValueError):
    """Error in an option; the message names the option and says what to do."""


@dataclasses.dataclass(frozen=True)
class OptionInfo:
    """Presentation and range of an option.

    Attributes:
      help: the help text.
      short: a one-letter form such as "-p", or "".
      metavar: the value's placeholder in the help text; "" for a switch.
      group: title of its group in the help text; "" for none.
      minimum: the smallest number allowed, or None.
      maximum: the largest number allowed, or None.
    """

    help: str
    short: str = ""
    metavar: str = ""
    group: str = ""
    minimum: float | None = None
    maximum: float | None = None


def _option(default: _Default, help_text: str, **presentation: Any) -> _Default:
    """Return a dataclass field with its default and its OptionInfo."""
    info = OptionInfo(help_text, **presentation)
    field: _Default = dataclasses.field(default=default, metadata={"option": info})
    return field


@dataclasses.dataclass(frozen=True)
class ServeOptions:
    """Options of a server as typed; each field's help text says what it is.

    `max_batch_size` is `--max-batch-size` on the command line. A `bool | None` has a negative
    form too, and None leaves the choice to the engine.
    """

    model_dir: str = _option(
        "",
        "Folder of a model's versions, watched for new ones; or one version.",
        short="-m",
        metavar="FOLDER",
    )
    model_name: str = _option(
        MODEL_NAME, "Name of the model in requests.", metavar="NAME", group=_VERSIONS
    )
    model_config_file: str = _option(
        "",
        "Serve several models: a file with TensorFlow Serving's ModelServerConfig as text.",
        metavar="FILE",
        group=_VERSIONS,
    )
    config_poll_seconds: float = _option(
        5.0,
        "Seconds between checks of --model-config-file for changes; 0 to read it only once.",
        minimum=0,
        maximum=3600,
        metavar="SECONDS",
        group=_VERSIONS,
    )
    host: str = _option("127.0.0.1", "Address to listen on; 0.0.0.0 for all.", metavar="HOST")
    port: int = _option(
        8500,
        "Port for gRPC; 0 for a free one.",
        short="-p",
        minimum=0,
        maximum=65535,
        metavar="PORT",
    )
    rest_port: int = _option(
        8501,
        "Port for REST; 0 for a free one, -1 for no REST.",
        minimum=NO_REST,
        maximum=65535,
        metavar="PORT",
    )
    policy: str = _option(
        "latest:1",
        "Versions to serve: latest:N, all or specific:V,V.",
        metavar="POLICY",
        group=_VERSIONS,
    )
    poll_seconds: float = _option(
        1.0,
        "Seconds between checks for new versions.",
        minimum=0.05,
        maximum=3600,
        metavar="SECONDS",
        group=_VERSIONS,
    )
    batching: bool | None = _option(
        None,
        "Run requests of equal shapes as one batch [default: with Genreflow's own server].",
        group=_LIMITS,
    )
    max_batch_size: int = _option(
        Batching.max_batch_size,
        "Largest number of rows in a batch.",
        minimum=1,
        maximum=4096,
        metavar="N",
        group=_LIMITS,
    )
    batch_timeout_ms: float = _option(
        Batching.batch_timeout_s * 1000,
        "How long a request waits for others to join its batch.",
        minimum=0,
        maximum=10_000,
        metavar="MS",
        group=_LIMITS,
    )
    max_concurrent: int = _option(
        Limits.concurrent,
        "Requests in progress at once; more are rejected.",
        minimum=1,
        maximum=1024,
        metavar="N",
        group=_LIMITS,
    )
    max_message_mb: int = _option(
        Limits.message_bytes >> 20,
        "Largest request, in MiB.",
        minimum=1,
        maximum=1024,
        metavar="MIB",
        group=_LIMITS,
    )
    max_waveform_seconds: float = _option(
        600.0,
        "Longest audio in one request.",
        minimum=1,
        maximum=86_400,
        metavar="SECONDS",
        group=_LIMITS,
    )
    tls_cert: str = _option(
        "", "Encrypt with this certificate (PEM).", metavar="FILE", group=_ACCESS
    )
    tls_key: str = _option("", "Private key of --tls-cert (PEM).", metavar="FILE", group=_ACCESS)
    tls_client_ca: str = _option(
        "",
        "Accept only clients with a certificate signed by this one (PEM).",
        metavar="FILE",
        group=_ACCESS,
    )
    api_key_file: str = _option(
        "",
        f"File with the key that clients must send [default: {API_KEY_VARIABLE}, or none].",
        metavar="FILE",
        group=_ACCESS,
    )
    model_root: str = _option(
        "",
        "Folder from which reload requests may load models [default: the folders served].",
        metavar="FOLDER",
        group=_ACCESS,
    )
    allow_reload: bool = _option(
        False,
        "Accept reload requests although other machines can reach the address.",
        group=_ACCESS,
    )
    grace_seconds: float = _option(
        15.0,
        "On shutdown, seconds to wait for requests in progress.",
        minimum=0,
        maximum=3600,
        metavar="SECONDS",
    )
    engine: str = _option(
        GENREFLOW,
        "genreflow; tensorflow-serving, if tensorflow_model_server is installed; or auto.",
        metavar="NAME",
    )
    ready_file: str = _option(
        "", "Write the ports to this file (JSON) once every model is served.", metavar="FILE"
    )

    def __post_init__(self) -> None:
        """Check everything that needs no file.

        Raises:
          OptionError: a value is out of range, or two options exclude each other.
        """
        if bool(self.model_dir) == bool(self.model_config_file):
            raise OptionError(
                "name the models by either --model-dir or --model-config-file, not both"
                if self.model_dir
                else "no model: give --model-dir or --model-config-file"
            )
        if not MODEL_NAME_PATTERN.fullmatch(self.model_name):
            raise OptionError(
                f"--model-name {self.model_name[:130]!r}: a name consists of letters, digits, "
                "'_', '-' and '.', and starts with a letter or a digit"
            )
        for field in dataclasses.fields(self):
            _check_range(flag(field.name), getattr(self, field.name), info(field))
        if self.port and self.port == self.rest_port:
            raise OptionError(f"--port and --rest-port are both {self.port}; each needs its own")
        if self.engine not in ENGINES:
            raise OptionError(f"--engine {self.engine}: must be one of {', '.join(ENGINES)}")
        if bool(self.tls_cert) != bool(self.tls_key):
            raise OptionError("--tls-cert and --tls-key belong together; give both")
        if self.tls_client_ca and not self.tls_cert:
            raise OptionError("--tls-client-ca needs --tls-cert and --tls-key too")
        parse_policy(self.policy)

    def batching_settings(self) -> Batching | None:
        """Return the settings of batches, or None if each request runs alone.

        Without --batching or --no-batching, Genreflow's own server batches: there, a request
        waits for others only if some are likely to come. TensorFlow Serving does not batch,
        which is its own default.
        """
        if self.batching is False or (self.batching is None and self.engine != GENREFLOW):
            return None
        return Batching(
            max_batch_size=self.max_batch_size, batch_timeout_s=self.batch_timeout_ms / 1000
        )

    def model_config(self) -> ModelConfig:
        """Return the model of --model-dir. If that is one version, only that one is served."""
        folder = pathlib.Path(self.model_dir).absolute()
        if (folder / SAVED_MODEL).is_file() and VERSION_NAME.fullmatch(folder.name):
            only = VersionPolicy("specific", versions=(int(folder.name),))
            return ModelConfig(self.model_name, folder.parent, only)
        return ModelConfig(self.model_name, folder, parse_policy(self.policy))


def info(field: dataclasses.Field[Any]) -> OptionInfo:
    """Return the OptionInfo of a field of ServeOptions."""
    found: OptionInfo = field.metadata["option"]
    return found


def flag(name: str) -> str:
    """Return the option of a field: "--max-batch-size" for "max_batch_size"."""
    return f"--{name.replace('_', '-')}"


def parse_policy(text: str) -> VersionPolicy:
    """Parse "latest:N" (or "latest"), "all" or "specific:V,V".

    Raises:
      OptionError: the text has none of these forms.
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
    raise OptionError(
        f"--policy {text}: must be latest:N, all or specific:V,V; for example latest:2"
    )


def _check_range(option: str, value: float, limits: OptionInfo) -> None:
    minimum, maximum = limits.minimum, limits.maximum
    if minimum is None or maximum is None:
        return
    if not minimum <= value <= maximum:  # false for NaN too
        raise OptionError(f"{option} {value:g}: must be from {minimum:g} to {maximum:g}")

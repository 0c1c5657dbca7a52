"""Settings of a whole server, made from its options."""

from __future__ import annotations

import dataclasses
import pathlib

from serving.model import model_files
from serving.server.config.model_list import ReloadPolicy, read_config_file
from serving.server.config.options import OptionError, ServeOptions
from serving.server.config.security import ApiKey, ServerTls, read_api_key, read_tls
from serving.server.config.settings import Batching, Limits, ModelConfig
from serving.server.listening import is_loopback


@dataclasses.dataclass(frozen=True)
class ServerSettings:
    """Settings of a server: its options, with all files that they name read and checked.

    Attributes:
      options: the options as typed; ports and times are taken from here.
      models: the models to serve.
      reload_policy: whether requests may replace the models, and where those may lie.
      batching: how requests are batched; None runs each alone.
      limits: limits on requests.
      tls: certificates, or None for unencrypted connections.
      api_key: the key that clients must send, or None.
    """

    options: ServeOptions
    models: tuple[ModelConfig, ...]
    reload_policy: ReloadPolicy
    batching: Batching | None
    limits: Limits
    tls: ServerTls | None
    api_key: ApiKey | None

    @classmethod
    def load(cls, options: ServeOptions, environment_key: str | None) -> ServerSettings:
        """Read the files that the options name.

        Args:
          options: the options as typed.
          environment_key: the value of GENREFLOW_API_KEY, or None if it is not set.

        Raises:
          OptionError: a file or address cannot be used.
          ModelFolderError: a model's folder holds no complete version.
        """
        tls = read_tls(options.tls_cert, options.tls_key, options.tls_client_ca)
        api_key = read_api_key(options.api_key_file, environment_key)
        if options.model_config_file:
            models = tuple(read_config_file(options.model_config_file))
        else:
            models = (options.model_config(),)
        roots = tuple(model.base_path for model in models)
        if options.model_root:
            root = pathlib.Path(options.model_root)
            if not root.is_dir():
                raise OptionError(f"--model-root {options.model_root}: no such folder")
            roots = (root.absolute(),)
        rates_hz = [
            model_files.read_assets(
                model_files.resolve_version(model.base_path)
            ).params.sample_rate_hz
            for model in models
        ]
        return cls(
            options=options,
            models=models,
            reload_policy=ReloadPolicy(options.allow_reload or is_loopback(options.host), roots),
            batching=options.batching_settings(),
            limits=Limits(
                message_bytes=options.max_message_mb << 20,
                waveform_samples=int(options.max_waveform_seconds * max(rates_hz)),
                concurrent=options.max_concurrent,
            ),
            tls=tls,
            api_key=api_key,
        )

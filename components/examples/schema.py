"""The features of an example, and the TFMD schema to validate them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from components.audio.clips import ClipChoice
from components.audio.params import AudioParams

if TYPE_CHECKING:
    from tensorflow_data_validation.anomalies.proto.custom_validation_config_pb2 import (
        CustomValidationConfig,
    )

TRACK_ID = "track_id"
ARTIST_ID = "artist_id"
GENRE = "genre"
LABEL = "label"
CLIP_INDEX = "clip_index"
CLIP_START_S = "clip_start_s"
MEL_DB = "mel_db"


def tfmd_schema_text(genres: Sequence[str], params: AudioParams) -> str:
    """Return the tensorflow_metadata schema as text, the same for the same arguments.

    It comes from the configuration, because a schema inferred from the data could not find an
    unknown genre in that data. `mel_db` is declared an image to keep its statistics small;
    mel_size_validation checks its length.

    Args:
      genres: the genres in label order.
      params: the audio parameters.
    """
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    schema = schema_pb2.Schema()

    def add(name: str, kind: int) -> schema_pb2.Feature:
        feature = schema.feature.add(name=name, type=kind)
        feature.presence.min_fraction = 1.0
        feature.presence.min_count = 1
        feature.value_count.min = feature.value_count.max = 1
        return feature

    add(TRACK_ID, schema_pb2.BYTES)
    add(ARTIST_ID, schema_pb2.BYTES)
    add(GENRE, schema_pb2.BYTES).string_domain.value.extend(genres)
    label = add(LABEL, schema_pb2.INT)
    label.int_domain.min, label.int_domain.max = 0, len(genres) - 1
    index = add(CLIP_INDEX, schema_pb2.INT)
    choices = [ClipChoice.of(params, evaluates=evaluates) for evaluates in (False, True)]
    index.int_domain.min, index.int_domain.max = 0, max(one.clips for one in choices) - 1
    add(CLIP_START_S, schema_pb2.FLOAT).float_domain.min = 0.0
    add(MEL_DB, schema_pb2.BYTES).image_domain.SetInParent()
    return str(text_format.MessageToString(schema))


def mel_size_validation(params: AudioParams) -> CustomValidationConfig:
    """Return ExampleValidator's check that every `mel_db` is `params.mel_bytes` long."""
    from google.protobuf import text_format
    from tensorflow_data_validation.anomalies.proto import (
        custom_validation_config_pb2,
    )

    checks = "".join(
        f"""
        validations {{
          sql_expression: "feature.bytes_stats.{field} = {params.mel_bytes}"
          severity: ERROR
          description: "mel_db must be exactly {params.mel_bytes} bytes"
        }}"""
        for field in ("min_num_bytes", "max_num_bytes")
    )
    return text_format.Parse(
        f"feature_validations {{ feature_path {{ step: '{MEL_DB}' }} {checks} }}",
        custom_validation_config_pb2.CustomValidationConfig(),
    )

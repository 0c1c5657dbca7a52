"""The features of an example, and the TFMD schema to validate them."""

from __future__ import annotations

from collections.abc import Sequence

from components.audio.clips import ClipChoice
from components.audio.params import AudioParams

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
    DataCheck checks each one's length.

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

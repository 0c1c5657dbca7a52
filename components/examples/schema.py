"""The fields of one example, and the TFMD schema that the pipeline checks them with."""

from __future__ import annotations

TRACK_ID = "track_id"
ARTIST_ID = "artist_id"
GENRE = "genre"
LABEL = "label"
CLIP_INDEX = "clip_index"
CLIP_START_S = "clip_start_s"
MEL_DB = "mel_db"

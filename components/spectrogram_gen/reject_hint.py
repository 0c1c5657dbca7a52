"""Line that lists rejected tracks, as messages name it. Light to import."""

from __future__ import annotations

# The command line puts the options that were typed into it.
LIST_REJECTS = "genreflow check-data --full --rejects FILE.csv"

"""Table of the front ends. To add one, write its module beside this one and give it a line."""

from __future__ import annotations

from components.audio.front_ends.front_end import FrontEnd
from components.audio.front_ends.mel_db import MelDb
from components.audio.front_ends.musicnn import Musicnn

FRONT_ENDS: dict[str, FrontEnd] = {
    front_end.name: front_end
    for front_end in (
        MelDb(),
        Musicnn(),
    )
}


def of_name(name: str) -> FrontEnd:
    """Return a front end.

    Raises:
      ValueError: there is no such front end.
    """
    if name not in FRONT_ENDS:
        raise ValueError(f"front_end = {name!r}: unknown; there are: {', '.join(FRONT_ENDS)}")
    return FRONT_ENDS[name]

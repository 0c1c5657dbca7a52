"""Fixtures of the page."""

from tests.genreflow.web.listen.listening import listening

__all__ = ["listening"]

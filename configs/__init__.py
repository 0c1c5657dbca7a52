"""The configurations that come with Genreflow, as files beside this one."""

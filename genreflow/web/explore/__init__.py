"""The page of `genreflow explore`: the songs of a finished run, and the mending of their labels."""

"""Parts of the documentation that are generated from the sources, as pure functions to Markdown."""

"""Sources of the documentation: pages in Markdown, and the parts that are generated."""

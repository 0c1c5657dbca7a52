"""Proposal of a configuration for a data folder, which `genreflow init` writes."""

"""Shipped configurations: the TOML files in this folder."""

"""Programs that measure what the documentation states: `python -m benchmarks.NAME --help`."""

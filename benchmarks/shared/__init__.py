"""Code that several benchmarks share: command lines, memory, music and servers to measure with."""

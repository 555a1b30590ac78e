"""Benchmarks: each a ratio against a named reference, measured interleaved in one run."""

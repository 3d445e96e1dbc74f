"""Benchmarks: `python -m benchmarks` measures the program as its users run it, beside the least work there is."""

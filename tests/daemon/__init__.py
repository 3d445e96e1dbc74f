"""Tests of the running daemon's parts, in one process."""

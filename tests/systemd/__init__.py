"""Tests of the units under a real systemd, booted in a container."""

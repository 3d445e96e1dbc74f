"""Tells programs and webhooks how passes end: what is news, what waits to be told, and how it is told."""

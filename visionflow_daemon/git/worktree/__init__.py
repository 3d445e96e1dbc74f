"""The files on disk of a checkout: laid over its commit, kept, and watched (ADR 0025)."""

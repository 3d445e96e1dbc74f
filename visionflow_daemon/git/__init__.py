"""Reads git: repositories, clones of remotes, trees, and what changed between commits."""

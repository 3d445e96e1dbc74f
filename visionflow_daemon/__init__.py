"""Keep an ontology database equal to a git repository of pages, commit by commit."""

from importlib.metadata import version

__version__ = version("visionflow-daemon")

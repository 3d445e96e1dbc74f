"""The command line."""

from visionflow_daemon import lean

lean.import_peewee()  # before any module that uses it is imported

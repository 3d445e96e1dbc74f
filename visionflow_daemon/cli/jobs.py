"""Turns a configured source into the job of a pass."""

from __future__ import annotations

from visionflow_daemon.config import Config, SourceConfig
from visionflow_daemon.sync.job import Job


def job_of(config: Config, source: SourceConfig) -> Job:
    """Give the job that brings a source into its ontology."""
    return Job(
        ontology_id=source.ontology_id,
        include=source.include,
        exclude=source.exclude,
        reading=config.reading_rules(),
        workers=config.workers(),
        queue=config.sync.queue,
        lock_timeout=config.sync.lock_timeout,
        mass_delete_share=config.sync.mass_delete_share,
        breaker=config.breaker,
        apart=config.reading.apart,
    )

"""What can go wrong, by the class that decides what happens next.

    VisionflowError
    ├── PageError            one file can't be read: it goes to the ledger, nothing else suffers
    ├── TransientError       worth another try at once: a lock, a network, a lost connection
    │   └── BusyError        another program holds the database's write lock
    ├── SystemicError        every file would fail alike: the pass stops, the checkpoint stays
    │   └── DatabaseError    the database can't be written, or isn't ours
    ├── HeldError            deletions that look like a mistake: all else is saved, the checkpoint stays
    └── FatalError           no pass can start until an operator acts
        ├── ConfigError      the configuration or the command line
        ├── SourceError      there is no such repository, branch or commit to read
        ├── RemoteError      the remote is unreachable, refuses, or is over its deadline
        ├── LockedError      another pass holds this ontology
        └── CorruptError     the database's file is damaged

The exit codes are those of `visionflow-daemon --once`, documented in the README.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What `--once` and the verbs tell their caller."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    LEDGER = 3
    REMOTE = 4
    HELD = 5
    DATABASE = 6


class VisionflowError(Exception):
    """Any failure this program has words for."""

    exit_code = ExitCode.INTERNAL


class PageError(VisionflowError):
    """One file that can't be read, with the reason and the line it is about.

    `line` counts from 1; None where the whole file is meant.
    """

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


class TransientError(VisionflowError):
    """A fault that another attempt may well not meet."""


class BusyError(TransientError):
    """Another program holds the database's write lock, for longer than a statement waits."""

    exit_code = ExitCode.DATABASE


class SystemicError(VisionflowError):
    """A fault of the machine that every file would meet: the pass stops where it is."""

    exit_code = ExitCode.DATABASE


class DatabaseError(SystemicError):
    """The database can't be opened, can't be written, or isn't one of ours."""


class HeldError(VisionflowError):
    """Deletions that look like a mistake wait for an operator, or for another commit; all else is saved."""

    exit_code = ExitCode.HELD


class FatalError(VisionflowError):
    """Nothing can be done until an operator acts; nothing was touched."""


class ConfigError(FatalError):
    """Mistakes in the configuration or on the command line, all of them at once."""

    exit_code = ExitCode.USAGE

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class SourceError(FatalError):
    """No repository, branch or commit is there to read."""

    exit_code = ExitCode.USAGE


class RemoteError(FatalError):
    """The remote is unreachable, refuses us, or takes longer than its deadline."""

    exit_code = ExitCode.REMOTE


class LockedError(FatalError):
    """Another pass holds the lock of this ontology."""

    exit_code = ExitCode.DATABASE


class CorruptError(FatalError):
    """The database's file is damaged; from there on it is not written."""

    exit_code = ExitCode.DATABASE

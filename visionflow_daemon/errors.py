"""What can go wrong, by the class that decides what happens next.

    VisionflowError
    ├── PageError            one file can't be read: it goes to the ledger, nothing else suffers
    ├── TransientError       worth another try at once: a lock, a network, a lost connection
    │   ├── BusyError        another program holds the database's write lock
    │   ├── LostError        the database's server crashed, and may have lost its last commits
    │   ├── UnforeseenError  what a transaction had built on has changed: another attempt looks anew
    │   ├── ObjectError      an object of the repository can't be read
    │   └── UnreachableError the remote does not answer, or breaks off
    ├── SystemicError        every file would fail alike: the pass stops, the checkpoint stays
    │   ├── DatabaseError    the database can't be written, or isn't ours
    │   ├── StateError       the state directory can't be written, so nothing can be fetched
    │   ├── StartError       no process can be started to work apart
    │   ├── ThreadError      no thread can be started that is needed
    │   ├── FailingError     too many files fail in one pass
    │   └── DamageError      a clone has lost objects, which is proven
    ├── DeadlineError        work in a process of its own took longer than it may
    ├── DiedError            work in a process of its own ended that process
    ├── LeaseError           the lease of an ontology is another's: the pass stops, nothing more is written
    ├── StoppedError         asked to stop while something was waited for
    ├── OpenError            a circuit breaker is open: the next attempt waits
    ├── HeldError            deletions that look like a mistake: all else is saved, the checkpoint stays
    │   └── StillHeldError   the same deletions once more: nothing was done
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
from typing import Self

MORE_TASKS = "raise the limit of tasks (TasksMax= in the unit, `ulimit -u` in a shell)"
"""What helps where no thread can be started."""


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


class UnforeseenError(TransientError):
    """A transaction was undone, since what it had built on is no longer so; another attempt looks anew."""


class LostError(TransientError):
    """The database's server crashed under a pass, and may have lost its last commits: the pass is planned anew."""

    exit_code = ExitCode.DATABASE


class ObjectError(TransientError):
    """An object of the repository can't be read: it is missing, or damaged, or the disk fails."""

    exit_code = ExitCode.USAGE


class UnreachableError(TransientError):
    """The remote does not answer, or breaks off."""

    exit_code = ExitCode.REMOTE


class SystemicError(VisionflowError):
    """A fault of the machine that every file would meet: the pass stops where it is."""

    exit_code = ExitCode.DATABASE


class DatabaseError(SystemicError):
    """The database can't be opened, can't be written, or isn't one of ours."""


class DeadlineError(VisionflowError):
    """Work in a process of its own took longer than it may; that process is gone."""


class DiedError(VisionflowError):
    """Work in a process of its own ended that process; `signal` names what ended it, if a signal did."""

    def __init__(self, message: str, signal: str | None = None) -> None:
        super().__init__(message)
        self.signal = signal


class LeaseError(VisionflowError):
    """The lease of an ontology is another's by now: this process was silent for too long."""

    exit_code = ExitCode.DATABASE


class StoppedError(VisionflowError):
    """The program was asked to stop while something was waited for."""


class StateError(SystemicError):
    """The state directory can't be written: nothing can be fetched into it."""

    exit_code = ExitCode.HELD


class DamageError(SystemicError):
    """A clone has lost objects, which is proven: it is to be made anew."""

    exit_code = ExitCode.REMOTE


class StartError(SystemicError):
    """No process can be started for work that is to be done apart."""


class ThreadError(SystemicError):
    """No thread can be started that is needed."""

    @classmethod
    def of(cls, thread: str, why: Exception) -> Self:
        """Say which thread can't be started, and why not."""
        return cls(f"the system lets no {thread} start ({why}): {MORE_TASKS} or of memory; what was saved stays saved")


class FailingError(SystemicError):
    """So many files fail in one pass that the fault can hardly be theirs."""

    exit_code = ExitCode.HELD


class OpenError(VisionflowError):
    """A circuit breaker is open: nothing is tried until its cool-down is over."""

    exit_code = ExitCode.HELD


class HeldError(VisionflowError):
    """Deletions that look like a mistake wait for an operator, or for another commit; all else is saved.

    `mark` names the commit and the settings at which they are held.
    """

    exit_code = ExitCode.HELD
    mark: str | None = None


class StillHeldError(HeldError):
    """The deletions of the last pass are held as they were: there is nothing else to do."""


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

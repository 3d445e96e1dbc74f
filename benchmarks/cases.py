"""The cases, by name, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks import first_syncs, later_passes, servers, write_locks
from benchmarks.stage import Stage

CASES: Mapping[str, Callable[[Stage], None]] = {
    "first-sync": first_syncs.first_sync,
    "clone": first_syncs.clone,
    "no-op": later_passes.no_op,
    "incremental": later_passes.incremental,
    "delete": later_passes.delete,
    "resume": later_passes.resume,
    "batch": first_syncs.batch,
    "transactions": write_locks.transactions,
    "relink": write_locks.relink,
    "server": servers.server,
}

"""Imports structlog and Peewee without the packages that they bring along and a pass has no use for (ADR 0009).

rich, for tracebacks in colour, is optional to structlog; asyncio, for logging from coroutines, is not, and is imported
when structlog first asks it for something. Peewee imports every driver that is installed: psycopg, 17 MB, waits until a
server's database is asked for, and the others are none of ours.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any

DRIVERS = ("psycopg", "psycopg2", "psycopg2cffi", "pymysql", "MySQLdb")


def import_structlog() -> None:
    """Import structlog, if nobody has yet. Call it before the modules that log are imported."""
    if "structlog" not in sys.modules:
        with _in_place_of("rich", None), _in_place_of("asyncio", _imported_when_used("asyncio")):
            importlib.import_module("structlog")


def import_peewee() -> None:
    """Import Peewee, if nobody has yet. Call it before any module that uses it is imported."""
    if "peewee" not in sys.modules:
        with ExitStack() as hidden:
            for driver in DRIVERS:
                hidden.enter_context(_in_place_of(driver, None))
            importlib.import_module("peewee")


def let_peewee_have_psycopg() -> None:
    """Give Peewee the driver that it was imported without, as its own import would have. Raises ImportError."""
    peewee: Any = importlib.import_module("peewee")
    if peewee.psycopg is not None:
        return
    psycopg, pq, json = (importlib.import_module(name) for name in ("psycopg", "psycopg.pq", "psycopg.types.json"))
    states, adapter = pq.TransactionStatus, peewee.Psycopg3Adapter
    peewee.psycopg, peewee.TransactionStatus = psycopg, states
    peewee.Json_pg3, peewee.Jsonb_pg3 = json.Json, json.Jsonb
    adapter.txn_idle, adapter.txn_inerror, adapter.txn_unknown = states.IDLE, states.INERROR, states.UNKNOWN


def _imported_when_used(name: str) -> ModuleType:
    stand_in = ModuleType(name)
    stand_in.__getattr__ = lambda attribute: getattr(importlib.import_module(name), attribute)  # type: ignore[method-assign]
    return stand_in


@contextmanager
def _in_place_of(name: str, stand_in: ModuleType | None) -> Iterator[None]:
    """Let imports of a module that nobody has imported yet get another one; None looks as if it were not installed."""
    if name in sys.modules:
        yield
        return
    modules: dict[str, ModuleType | None] = sys.modules  # type: ignore[assignment]
    modules[name] = stand_in  # None is documented: an import then raises ImportError
    try:
        yield
    finally:
        del sys.modules[name]

"""Several daemons on one server, in a database that notes under which lease each file was written, and by whom."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.postgresql import server
from tests.postgresql.server import PASSWORD, Server
from tests.support import Daemon, Repo, class_page
from visionflow_daemon.storage.dump import dump
from visionflow_daemon.storage.opening import open_database
from visionflow_daemon.storage.server import Server as Access
from visionflow_daemon.storage.server import ServerRules

LEASE = 3.0
WATCH = """
CREATE TABLE writes (number BIGSERIAL, ontology_id TEXT, path TEXT, token BIGINT, holder TEXT, writer TEXT,
    at TIMESTAMPTZ DEFAULT clock_timestamp());
CREATE FUNCTION watch() RETURNS TRIGGER LANGUAGE plpgsql AS $$ DECLARE file source_files := COALESCE(new, old); BEGIN
  INSERT INTO writes (ontology_id, path, token, holder, writer)
    SELECT file.ontology_id, file.display_path, l.token, l.holder, current_setting('application_name')
    FROM (SELECT 1) one LEFT JOIN leases l ON l.ontology_id = file.ontology_id;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER watch AFTER INSERT OR UPDATE OR DELETE ON source_files DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION watch();
CREATE TABLE takings (ontology_id TEXT, token BIGINT, holder TEXT, before TEXT, ended TIMESTAMPTZ,
    at TIMESTAMPTZ DEFAULT clock_timestamp());
CREATE FUNCTION note_taking() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO takings (ontology_id, token, holder, before, ended)
    VALUES (new.ontology_id, new.token, new.holder, old.holder, old.expires_at);
  RETURN NULL;
END $$;
CREATE TRIGGER note_taking AFTER UPDATE OF token ON leases FOR EACH ROW EXECUTE FUNCTION note_taking();
"""
"""What notes each write of a file at the end of its transaction, which has the lease's row locked then: who writes, by
the name of the session, and who holds the lease."""

FOREIGN = (
    "SELECT * FROM writes"
    " WHERE holder IS NULL OR writer <> 'visionflow-daemon ' || regexp_replace(holder, ':[^:]*$', '')"
)
"""The writes of whoever did not hold the lease."""

SHARED = "SELECT ontology_id, token FROM writes GROUP BY 1, 2 HAVING COUNT(DISTINCT writer) > 1"
LATE = (
    "SELECT * FROM (SELECT *, MAX(token) OVER (PARTITION BY ontology_id ORDER BY number) AS newest FROM writes) w"
    " WHERE token < newest"
)


def dumped(url: str, folder: Path, ontology_id: str) -> list[bytes]:
    """Give the canonical dump of an ontology."""
    database = open_database(url, folder, read_only=True, server=Access(ServerRules(), lambda: PASSWORD))
    try:
        return list(dump(database, ontology_id))
    finally:
        database.close()
        database.end()


class Fleet:
    """Repositories, one database, and daemons that work on them; the daemons' logs stand in the folder."""

    def __init__(self, own: Server, folder: Path, sources: int = 10, *, prepared: bool = True) -> None:
        self.server, self.folder = own, folder
        self.name = server.database_name(folder)
        self.url = own.new_database(self.name)
        self.repos = [Repo(folder / f"r{number}.git") for number in range(sources)]
        for repo in self.repos:
            repo.commit({"start.md": class_page("urn:t:start", "start")})
        self.daemons: dict[int, subprocess.Popen[bytes]] = {}
        self._numbers = iter(range(10_000))
        self.config = self.write_config("fleet.toml", range(sources))
        if prepared:
            self.program(0).run("migrate", "--config", self.config)
            self.watch()

    def watch(self) -> None:
        """Have each write noted from now on."""
        self.server.rows(WATCH, self.name)

    def write_config(self, name: str, sources: Sequence[int], database: str | None = None) -> Path:
        """Write a configuration of some of the sources."""
        path = self.folder / name
        path.write_text(
            f'database = "{database or self.url}"\n[daemon]\ninterval = 1.0\njitter = 0.1\npoll = 0.3\n'
            f"[postgresql]\nlease = {LEASE}\nidle_timeout = 2.0\nconnections = 12\n[sync]\nworkers = 2\n"
            + "".join(f'[[sources]]\nontology_id = "o{at}"\nlocation = "{self.repos[at].path}"\n' for at in sources)
        )
        return path

    def program(self, number: int, under: tuple[str, ...] = (), environment: Mapping[str, str] | None = None) -> Daemon:
        """Give a daemon with a home of its own."""
        folder = self.folder / f"daemon{number}"
        folder.mkdir(exist_ok=True)
        own = {"VISIONFLOW_DATABASE_PASSWORD": PASSWORD, "VISIONFLOW_HTTP__PORT": "0", **(environment or {})}
        return Daemon(folder, own, under)

    def join(
        self, config: Path | None = None, under: tuple[str, ...] = (), environment: Mapping[str, str] | None = None
    ) -> int:
        """Start one more daemon."""
        number = next(self._numbers)
        program = self.program(number, under, environment)
        with (self.folder / f"daemon{number}.log").open("wb") as log:
            self.daemons[number] = subprocess.Popen(
                program.command("--config", config or self.config),
                cwd=program.folder,
                env=program.env(),
                stdout=log,
                stderr=log,
            )
        return number

    def pid(self, number: int) -> int:
        """Give a daemon's process id."""
        return self.daemons[number].pid

    def send(self, number: int, how: signal.Signals) -> None:
        """Send a daemon a signal."""
        self.daemons[number].send_signal(how)

    def end(self, number: int, how: signal.Signals) -> None:
        """End a daemon."""
        process = self.daemons.pop(number)
        process.send_signal(how)
        process.wait(20)

    def close(self) -> None:
        """End all daemons, and remove the database."""
        for process in self.daemons.values():
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()
        self.server.rows(f'DROP DATABASE "{self.name}" WITH (FORCE)')

    def logged(self, number: int) -> list[dict[str, Any]]:
        """Give what a daemon has logged so far."""
        lines = (self.folder / f"daemon{number}.log").read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the database."""
        return self.server.rows(sql, self.name)

    def count(self, sql: str) -> int:
        """Ask the database for a number."""
        return int(self.rows(sql)[0][0])

    def holders(self) -> dict[str, int]:
        """Say which process holds which ontology."""
        found = self.rows(
            "SELECT ontology_id, holder FROM leases WHERE holder IS NOT NULL AND expires_at > clock_timestamp()"
        )
        return {ontology_id: int(holder.split(":")[1]) for ontology_id, holder in found}

    def loads(self) -> list[int]:
        """Count what each process holds, the most first."""
        held = list(self.holders().values())
        return sorted((held.count(each) for each in set(held)), reverse=True)

    def assert_whole(self) -> None:
        """See that each ontology is what its repository says, by way of a file of SQLite's."""
        sources = range(len(self.repos))
        config = self.write_config("peace.toml", sources, database=f"sqlite:///{self.folder / 'peace.db'}")
        ran = self.program(0).run("--once", "--config", config)
        assert ran.code == 0, ran.err
        for at in sources:
            ours = dumped(self.url, self.folder, f"o{at}")
            assert ours == dumped(str(self.folder / "peace.db"), self.folder, f"o{at}")
            assert ours

    def assert_one_writer(self) -> None:
        """See that each write was its lease's holder's, each lease had one writer, and none wrote after a later one."""
        assert self.rows("SELECT 1 FROM writes LIMIT 1")
        assert self.rows(FOREIGN) == []
        assert self.rows(SHARED) == []
        assert self.rows(LATE) == []

"""The configuration: its example, its overrides, and what it says about mistakes."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.support import PROJECT, Daemon
from visionflow_daemon.config.load import load
from visionflow_daemon.config.values import Config, NotificationConfig, ReadingConfig, SourceConfig, SyncConfig
from visionflow_daemon.errors import ConfigError
from visionflow_daemon.model import DEFAULT_PREFIXES, Limits

EXAMPLE = PROJECT / "config.example.toml"
SECTIONS = (
    "reading",
    "reading.limits",
    "reading.apart",
    "sync",
    "daemon",
    "http",
    "webhook",
    "network",
    "postgresql",
    "breaker",
    "backup",
    "log",
)
NOT_DEFAULTS = {"sources.location", "sources.include", "reading.prefixes", "notifications.command"}
NO_DEFAULT = {
    *("sources.branch", "sources.username", "sources.password_file", "sources.ssh_key_file", "sources.interval"),
    *("sources.webhook_secret_file", "sources.name", "sources.not_relations"),
    *(f"sources.limits.{each.name}" for each in dataclasses.fields(Limits)),
    "sync.workers",
    *("notifications.url", "notifications.url_file", "notifications.secret_file", "notifications.token_file"),
    "backup.folder",
    "postgresql.password_file",
}
COMMENTED_KEY = re.compile(r"^# ([a-z_.]+ = .+|\[\[[a-z]+\]\])$", re.MULTILINE)
HUSH = "opensesame-4711"
USER_TWICE = ".token_file: the URL has a user name already; give one of both"


def keys_of_the_code() -> dict[str, Any]:
    """Name every key that the dataclasses know, with its default."""
    config = Config()
    found: dict[str, Any] = {"database": config.database}
    parts: dict[str, Any] = {
        "sources": SourceConfig(location=""),
        "sources.limits": SourceConfig(location="").limits,
        "notifications": NotificationConfig(),
    }
    for section in SECTIONS:
        value: Any = config
        for name in section.split("."):
            value = getattr(value, name)
        parts[section] = value
    for section, value in parts.items():
        for each in dataclasses.fields(value):
            key = f"{section}.{each.name}"
            if key not in parts:
                found[key] = getattr(value, each.name)
    return found


def keys_of_the_example() -> dict[str, Any]:
    """Name every key of the example, those that are commented out too, with its value."""
    data = tomllib.loads(COMMENTED_KEY.sub(r"\1", EXAMPLE.read_text("utf-8")))
    found: dict[str, Any] = {}

    def collect(prefix: str, table: dict[str, Any]) -> None:
        for name, value in table.items():
            key = f"{prefix}{name}"
            if isinstance(value, dict) and name != "prefixes":
                collect(f"{key}.", value)
            else:
                found[key] = value

    for name in ("sources", "notifications"):
        (section,) = data.pop(name)
        collect(f"{name}.", section)
    collect("", data)
    return found


def problems_of(path: Path | None, environment: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(path, environment or {})
    return caught.value.problems


@pytest.fixture
def one(tmp_path: Path) -> Path:
    """A configuration with one source, and nothing else."""
    (path := tmp_path / "one.toml").write_text('[[sources]]\nlocation = "notes"\n')
    return path


def test_the_example_loads_as_it_stands() -> None:
    config = load(EXAMPLE, {})
    (source,) = config.sources
    assert (source.location, source.include, config.base) == (".", ("examples/**",), PROJECT)
    assert config.reading_rules().prefixes["sky"] == "https://example.org/sky#"


def test_the_example_has_every_key_of_the_code_and_no_other() -> None:
    assert set(keys_of_the_example()) == set(keys_of_the_code())


@pytest.mark.parametrize("key", sorted(set(keys_of_the_code()) - NOT_DEFAULTS - NO_DEFAULT))
def test_a_value_of_the_example_is_the_default_of_the_code(key: str) -> None:
    default, value = keys_of_the_code()[key], keys_of_the_example()[key]
    assert (tuple(value) if isinstance(value, list) else value) == default
    assert isinstance(value, float) == isinstance(default, float)


@pytest.mark.parametrize("key", sorted(NO_DEFAULT))
def test_what_the_example_leaves_out_is_unset_by_default(key: str) -> None:
    assert keys_of_the_code()[key] is None
    assert f"# {key.partition('.')[2]} = " in EXAMPLE.read_text("utf-8")


def test_the_examples_comment_names_the_default_globs() -> None:
    (line,) = re.findall(r"^# Default of include: (.*)\.$", EXAMPLE.read_text("utf-8"), re.MULTILINE)
    assert tuple(re.findall(r'"([^"]+)"', line)) == SourceConfig(location="x").include


def test_the_examples_comment_names_the_prefixes_that_are_always_known() -> None:
    (line,) = re.findall(r"always known: (.*)\.$", EXAMPLE.read_text("utf-8"), re.MULTILINE)
    assert set(line.split()) == set(DEFAULT_PREFIXES)
    assert ReadingConfig().prefixes == {}


def test_without_a_file_the_defaults_hold() -> None:
    config = load(None, {})
    assert dataclasses.replace(config, base=Path()) == Config()
    assert config.sync == SyncConfig(workers=None, queue=32, lock_timeout=10.0)
    assert 4 <= config.workers() <= 8


def test_all_mistakes_of_kind_are_told_at_once_each_with_its_key(tmp_path: Path) -> None:
    (path := tmp_path / "bad.toml").write_text(
        'database = 3\nunknown = 1\n[[sources]]\nlocation = "x"\nbranch = 7\nextra = 1\n[[sources]]\ninclude = []\n'
        '[reading.prefixes]\nsky = 1\n[reading.limits]\ndeep = 1\n[sync]\nworkers = true\nqueue = "many"\n'
        "[network]\nread_timeout = '1'\n[log]\nformat = 1\n"
    )
    assert set(problems_of(path)) == {
        "database: a string is due, not 3",
        "there is no such key: unknown",
        "sources[0].branch: a string is due, not 7",
        "sources[0]: there is no such key: extra",
        "sources[1].location: the key 'location' is missing",
        "reading.prefixes['sky']: a string is due, not 1",
        "reading.limits: there is no such key: deep",
        "sync.workers: a whole number is due, not True",
        "sync.queue: a whole number is due, not 'many'",
        "network.read_timeout: a number is due, not '1'",
        "log.format: a string is due, not 1",
    }


def test_all_mistakes_of_value_are_told_at_once_each_with_its_key(tmp_path: Path, daemon: Daemon) -> None:
    (tmp_path / "bad.toml").write_text(
        '[[sources]]\nlocation = ""\nbranch = ""\nontology_id = ""\ninclude = []\n[[sources]]\nlocation = "x"\n'
        '[[sources]]\nlocation = "y"\n[sync]\nworkers = 65\nqueue = 0\nlock_timeout = nan\n[network]\n'
        'connect_timeout = 0\nread_timeout = 3601\n[log]\nlevel = "loud"\nformat = "xml"\n[reading.limits]\n'
        "depth = 9\npage_bytes = 0\nrdf_bytes = 0\nstatements = 0\niri_bytes = 15\n"
    )
    ran = daemon.run("check-config", "--config", "bad.toml")
    keys = [line.removeprefix("visionflow-daemon: ").partition(":")[0] for line in ran.err.splitlines()]
    assert sorted(keys) == sorted(
        [
            *("sources[0].location", "sources[0].branch", "sources[0].ontology_id", "sources[0].include"),
            *("sources[2].ontology_id", "sync.workers", "sync.queue", "sync.lock_timeout"),
            *("network.connect_timeout", "network.read_timeout", "log.level", "log.format", "reading.limits.depth"),
            *("reading.limits.page_bytes", "reading.limits.rdf_bytes", "reading.limits.statements"),
            "reading.limits.iri_bytes",
        ]
    )
    assert (ran.code, ran.out) == (2, "")


@pytest.mark.parametrize("text", ["a = [", "a = 1\na = 2"], ids=["no TOML", "a key twice"])
def test_a_file_that_is_no_toml_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.toml").write_text(text)
    (problem,) = problems_of(tmp_path / "x.toml")
    assert problem.startswith(f"can't read the configuration {tmp_path / 'x.toml'}: ")


def test_a_missing_file_is_told_with_its_path(tmp_path: Path) -> None:
    assert problems_of(tmp_path / "none.toml") == (f"there is no configuration file at {tmp_path / 'none.toml'}",)


@pytest.mark.parametrize(
    ("name", "value", "path", "expected"),
    [
        ("DATABASE", "other.db", "database", "other.db"),
        ("SYNC__WORKERS", "3", "sync.workers", 3),
        ("SYNC__LOCK_TIMEOUT", "2", "sync.lock_timeout", 2.0),
        ("SYNC__BUSY_TIMEOUT", "0.5", "sync.busy_timeout", 0.5),
        ("LOG__LEVEL", "debug", "log.level", "debug"),
        ("READING__LIMITS__DEPTH", "77", "reading.limits.depth", 77),
        ("READING__PREFIXES__X", "urn:x:", "reading.prefixes", {"x": "urn:x:"}),
        ("NETWORK__READ_TIMEOUT", "1.5", "network.read_timeout", 1.5),
        ("SOURCES__0__BRANCH", "draft", "sources.0.branch", "draft"),
        ("SOURCES__0__INCLUDE", '["a/*.md", "b.ttl"]', "sources.0.include", ("a/*.md", "b.ttl")),
        ("SOURCES", '[{location = "/z"}]', "sources.0.location", "/z"),
    ],
)
def test_the_environment_overrides_the_file(one: Path, name: str, value: str, path: str, expected: object) -> None:
    found: Any = load(one, {f"VISIONFLOW_{name}": value, "OTHER_SYNC__WORKERS": "9"})
    for step in path.split("."):
        found = found[int(step)] if step.isdecimal() else getattr(found, step)
    assert found == expected


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("NONSENSE", "1", "there is no such key: nonsense"),
        ("SYNC__NONSENSE", "1", "sync: there is no such key: nonsense"),
        ("SYNC__QUEUE", "many", "sync.queue: a whole number is due, not 'many'"),
        ("SYNC__QUEUE", "0", "sync.queue: 0 is not between 1 and 10000"),
        ("BACKUP__INTERVAL", "30", "backup.interval: 30.0 is not between 60 and 31622400"),
        ("BACKUP__INTERVAL", "-1", "backup.interval: -1.0 is not between 60 and 31622400"),
        ("BACKUP__KEEP", "0", "backup.keep: 0 is not between 1 and 10000"),
        (
            "BACKUP__FOLDER",
            '""',
            "backup.folder: it is empty; leave it out for `backups` beside the database",
        ),
        ("SOURCES__7__BRANCH", "x", "VISIONFLOW_SOURCES__7__BRANCH: there is no section '7' to override"),
    ],
)
def test_a_mistake_in_the_environment_is_told(one: Path, name: str, value: str, problem: str) -> None:
    assert problems_of(one, {f"VISIONFLOW_{name}": value}) == (problem,)


@pytest.mark.parametrize("as_json", [True, False], ids=["JSON", "text"])
def test_check_config_shows_no_secret(daemon: Daemon, *, as_json: bool) -> None:
    (daemon.folder / "token").write_text(HUSH)
    (daemon.folder / "x.toml").write_text(
        f'[[sources]]\nlocation = "https://me:{HUSH}@example.org/x.git?key={HUSH}"\npassword_file = "token"\n'
    )
    daemon.environment["VISIONFLOW_GIT_PASSWORD"] = HUSH
    ran = daemon.run("check-config", "--config", "x.toml", *(["--json"] if as_json else []))
    assert ran.code == 0, ran.err
    assert "https://example.org/x.git" in ran.out
    assert HUSH not in ran.out + ran.err


def test_a_password_where_none_belongs_is_refused_and_not_shown(one: Path, daemon: Daemon) -> None:
    one.write_text(f'[[sources]]\nlocation = "x"\npassword = "{HUSH}"\n')
    ran = daemon.run("check-config", "--config", one)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "visionflow-daemon: sources[0]: there is no such key: password\n"


def test_mistakes_of_kind_and_of_value_are_told_together(one: Path) -> None:
    one.write_text('[[sources]]\nlocation = ""\n[sync]\nworkers = 99\nqueue = "many"\n')
    keys = [problem.partition(":")[0] for problem in problems_of(one)]
    assert sorted(keys) == ["sources[0].location", "sync.queue", "sync.workers"]


@pytest.mark.parametrize("branch", ["1.0", "2024", "true", "2024-01-01"])
def test_a_branch_in_the_environment_may_look_like_another_kind_of_value(one: Path, branch: str) -> None:
    assert load(one, {"VISIONFLOW_SOURCES__0__BRANCH": branch}).sources[0].branch == branch


def test_the_environment_alone_can_make_a_source() -> None:
    assert load(None, {"VISIONFLOW_SOURCES__0__LOCATION": "/z"}).sources == (SourceConfig(location="/z"),)


@pytest.mark.parametrize(("name", "value"), [("SOURCES__0", "x"), ("SYNC", "3"), ("DATABASE__X", "1")])
def test_a_value_where_a_section_is_due_is_told_with_its_name(one: Path, name: str, value: str) -> None:
    (problem,) = problems_of(one, {f"VISIONFLOW_{name}": value})
    assert not re.search("no attribute|not iterable", problem)
    assert re.match(r"VISIONFLOW_|sources\[0\]|sync|database", problem)


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ("", ": give one of command, url and url_file, not none"),
        ('command = ["x"]\nurl = "https://x"', ": give one of command, url and url_file, not command and url"),
        ('command = [""]', ".command: the program's name is empty"),
        ('command = ["x", "a\\u0000b"]', ".command: a program can't be given a zero byte"),
        ('command = ["x"]\non = []', ".on: it is empty, so that nothing would be told"),
        ('command = ["x"]\non = ["loud"]', ".on: 'loud' is none of changed, failing, recovered, held"),
        ('command = ["x"]\ntimeout = 0', ".timeout: 0.0 is not between 0.1 and 3600"),
        ('command = ["x"]\ntimeout = nan', ".timeout: nan is not between 0.1 and 3600"),
        ('command = ["x"]\nkeep_trying = -1', ".keep_trying: -1.0 is not between 0 and 604800"),
        ('command = ["x"]\nsources = ["b"]', ".sources: no source feeds 'b'"),
        ('command = ["x"]\ntoken_file = "t"', ".token_file: that is for a webhook; a program reads its secrets itself"),
        (f'url = "ftp://{HUSH}@x"', ".url: a URL is due that begins with https:// or http://"),
        (f'url = "https://x/{HUSH} b"', ".url: it holds characters that a URL can't: write them as %XX"),
        (f'url = "https://{HUSH}@x/"\ntoken_file = "t"', USER_TWICE),
        (
            'command = ["x"]\n[[notifications]]\ncommand = ["x"]\non = ["changed"]',
            ": it tells whom notifications[0] tells already; join what they are on",
        ),
    ],
)
def test_a_mistake_in_a_notification_is_told(one: Path, section: str, problem: str) -> None:
    one.write_text(f"{one.read_text()}[[notifications]]\n{section}\n")
    at = section.count("[[notifications]]")
    assert problems_of(one) == (f"notifications[{at}]{problem}",)


def test_check_config_shows_a_webhook_without_its_path(one: Path, daemon: Daemon) -> None:
    one.write_text(f'{one.read_text()}[[notifications]]\nurl = "https://me:{HUSH}@example.org:8443/{HUSH}?{HUSH}"\n')
    ran = daemon.run("check-config", "--config", one, "--json")
    assert ran.json["notifications"][0]["url"] == "https://example.org:8443"
    assert HUSH not in ran.out + ran.err


def test_what_tells_a_hook_of_an_event_is_no_key(one: Path) -> None:
    assert load(one, {"VISIONFLOW_EVENT": "changed", "VISIONFLOW_EVENT_TEXT": "x"}) == load(one, {})

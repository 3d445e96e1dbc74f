"""Answers a remote's demand for credentials, once."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit, urlunsplit

import pygit2
from pygit2.enums import CredentialType
from pygit2.remotes import TransferProgress

from visionflow_daemon.errors import RemoteError

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://", re.ASCII)
SCP_LIKE = re.compile(r"(?:[\w.-]+@)?[\w.-]+:(?![\\/]{2})[^\s]*\Z", re.ASCII)
SSH_USER = "git"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a source may prove itself with. Nothing here appears in a repr, and so in no log."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ssh_key: str | None = None
    ssh_passphrase: str | None = field(default=None, repr=False)


class Callbacks(pygit2.RemoteCallbacks):
    """Checks who the server is, answers for us, and sees that it sends no more than it may.

    libgit2 asks again and again after a wrong answer, up to 50 times: the second demand for the same kind ends it.
    """

    def __init__(self, url: str, credentials: Credentials, most_bytes: int) -> None:
        super().__init__()
        self._url = url
        self._credentials = credentials
        self._most_bytes = most_bytes
        self._asked: set[str] = set()

    def certificate_check(self, certificate: None, valid: bool, host: bytes) -> bool:  # noqa: ARG002, FBT001 - pygit2's
        """Accept a server whose certificate, or key in known_hosts, is valid: the default accepts any key."""
        return valid

    def transfer_progress(self, stats: TransferProgress) -> None:
        """Raise RemoteError when more comes than may."""
        if stats.received_bytes > self._most_bytes:
            raise RemoteError(
                f"the remote sends more than {self._most_bytes:,} bytes in one fetch: raise network.fetch_bytes if it "
                "is to be that large"
            )

    def credentials(
        self,
        url: str,
        username_from_url: str | None,
        allowed_types: CredentialType,
    ) -> pygit2.Username | pygit2.UserPass | pygit2.Keypair | pygit2.KeypairFromAgent:
        """Give what the remote asks for.

        Raises RemoteError when there is nothing to give, when it was refused, and when another host asks, to which the
        remote has redirected us: libgit2 would send it all the same.
        """
        if not is_same_host(self._url, url):
            raise RemoteError(
                f"{redact(self._url)} redirects to {redact(url)}, which asks for credentials: they were not sent there."
                " Give that as the source's location, if it is to have them"
            )
        mine = self._credentials
        user = mine.username or username_from_url
        if allowed_types & CredentialType.SSH_KEY:
            self._only_once("the SSH key", url)
            if mine.ssh_key:
                return pygit2.Keypair(user or SSH_USER, f"{mine.ssh_key}.pub", mine.ssh_key, mine.ssh_passphrase or "")
            return pygit2.KeypairFromAgent(user or SSH_USER)
        if allowed_types & CredentialType.USERNAME:
            return pygit2.Username(user or SSH_USER)
        if allowed_types & CredentialType.USERPASS_PLAINTEXT:
            self._only_once("the user name and password", url)
            if mine.password is not None:
                return pygit2.UserPass(user or SSH_USER, mine.password)
        raise RemoteError(f"{redact(url)} asks for credentials, and none are configured for this source")

    def _only_once(self, what: str, url: str) -> None:
        if what in self._asked:
            raise RemoteError(f"{redact(url)} refuses {what}")
        self._asked.add(what)


def is_same_host(ours: str, theirs: str) -> bool:
    """Tell whether a URL leads to the server of another: the same host and port, by the same scheme or by https."""
    if not (URL.match(ours) and URL.match(theirs)):
        return ours == theirs
    before, after = urlsplit(ours), urlsplit(theirs)
    if before.hostname != after.hostname:
        return False
    if before.scheme == after.scheme:
        return before.port == after.port
    return (before.scheme, after.scheme, before.port, after.port) == ("http", "https", None, None)


def is_remote(location: str) -> bool:
    """Tell a URL, or git's short `user@host:path`, from a path on this machine."""
    if URL.match(location):
        return True
    return bool(SCP_LIKE.match(location)) and "/" not in location.partition(":")[0]


def server_of(location: str) -> str:
    """Name the server that a remote is on; a remote without one stands for itself."""
    if URL.match(location):
        return urlsplit(location).netloc.rpartition("@")[2].lower() or location
    return location.partition(":")[0].rpartition("@")[2].lower()


def url_problem(location: str) -> str | None:
    """Say why a URL can't be read, without showing what may be its password; None where it can, or is a path."""
    if not URL.match(location):
        return None
    try:
        parts = urlsplit(location)
        _ = parts.port
    except ValueError:
        scheme = location.partition("://")[0]
        return (
            f"{scheme}://… is no URL that can be read: check its host and port, and write # / ? and @ in a password "
            "as %23 %2F %3F and %40, or keep the password out of the URL"
        )
    return None if parts.hostname or parts.scheme == "file" else f"{parts.scheme}://… names no host"


def redact(url: str) -> str:
    """Take user name, password, query and fragment out of a URL: what may be logged and stored."""
    if not URL.match(url):
        return url
    if url_problem(url):
        return f"{url.partition('://')[0]}://…"
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def split_userinfo(url: str) -> tuple[str, Credentials]:
    """Take the credentials that a URL carries out of it, so that libgit2 never sees, and never stores, them.

    The user name of an ssh URL stays: it is no secret, and part of the address.
    """
    if not URL.match(url):
        return url, Credentials()
    parts = urlsplit(url)
    if parts.scheme == "ssh" and parts.password is None:
        return url, Credentials()
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    user = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password else None
    if user and password is None and parts.scheme.startswith("http"):
        user, password = "x-access-token", user  # a lone user name over HTTP is a token
    return bare, Credentials(user, password)

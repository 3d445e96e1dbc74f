"""A connection to a web server, by a proxy where there is one, each step of which ends when our patience does."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
from typing import Any

from visionflow_daemon.ops.hooks.patience import Patience
from visionflow_daemon.ops.hooks.proxy import Proxy

HTTP, HTTPS = 80, 443


class Connection(http.client.HTTPConnection):
    """Connects when a request is made; all its steps together take no longer than there is patience."""

    def __init__(self, host: str, port: int | None, *, is_safe: bool, proxy: Proxy | None, patience: Patience) -> None:
        port = port or (HTTPS if is_safe else HTTP)
        if is_safe:
            self.default_port = HTTPS  # else it would stand in the Host header
        super().__init__(*((proxy.host, proxy.port) if proxy else (host, port)))
        self._server = host
        self._is_safe = is_safe
        self._patience = patience
        self._is_tunnel = is_safe and proxy is not None
        if is_safe and proxy is not None:
            self.set_tunnel(host, port, {"Proxy-Authorization": proxy.authorization} if proxy.authorization else {})

    def connect(self) -> None:
        """Connect to the first address that answers, and greet by TLS where that is due."""
        plain = self._connected()
        try:
            self.sock: Any = _Line(plain, self._patience)
            if self._is_tunnel:
                self._dig()
            if self._is_safe:
                plain = ssl.create_default_context().wrap_socket(
                    plain, server_hostname=self._server, do_handshake_on_connect=False
                )
                plain.settimeout(self._patience.left())
                plain.do_handshake()
                self.sock = _Line(plain, self._patience)
        except BaseException:
            plain.close()
            raise

    def _connected(self) -> socket.socket:
        places = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        failure: OSError = OSError("no address")
        for left, (family, kind, protocol, _, address) in zip(range(len(places), 0, -1), places, strict=True):
            line = socket.socket(family, kind, protocol)
            try:
                line.settimeout(self._patience.left() / left)
                line.connect(address)
            except OSError as error:
                line.close()
                failure = error
            else:
                return line
        raise failure

    def _dig(self) -> None:
        """Ask the proxy for a way to the server."""
        try:
            self._tunnel()  # type: ignore[attr-defined] # http.client's own, which its connect calls
        except TimeoutError:
            raise
        except OSError:  # whose message is the proxy's
            raise OSError(0, "the proxy opens no way to it") from None


class _Line:
    """What http.client needs of a socket, with the rest of our patience as the timeout of each step."""

    def __init__(self, line: socket.socket, patience: Patience) -> None:
        self._line = line
        self._patience = patience

    def sendall(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            self._line.settimeout(self._patience.left())
            rest = rest[self._line.send(rest) :]

    def makefile(self, *_: object) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._line, self._patience))

    def close(self) -> None:
        self._line.close()


class _Reader(io.RawIOBase):
    def __init__(self, line: socket.socket, patience: Patience) -> None:
        self._line = line
        self._patience = patience

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - a writable buffer, for which 3.11 has no name
        self._line.settimeout(self._patience.left())
        return self._line.recv_into(buffer)

"""Who asks too often: token buckets in bounded memory, and who stands behind a proxy."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

MOST_BUCKETS = 4_096
"""Addresses that are remembered; the one longest unheard of is forgotten first."""

IPV6_SITE = 64
"""Bits of an IPv6 address that tell one customer from another: who has one address has all that share them."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something may happen: so many times at once, and so many a second from then on."""

    burst: float
    per_second: float


class Buckets:
    """One bucket of tokens a key, all filled alike; safe to use from many threads."""

    def __init__(self, rate: Rate, monotonic: Callable[[], float], most: int = MOST_BUCKETS) -> None:
        self.rate = rate
        self._monotonic = monotonic
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def take(self, key: str) -> float:
        """Take a token, and give 0; where there is none, give the seconds until there is."""
        with self._lock:
            tokens, wait = self._look(key)
            self._kept[key] = (tokens if wait else tokens - 1, self._monotonic())
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
            return wait

    def wait(self, key: str) -> float:
        """Give the seconds until there is a token, and take none."""
        with self._lock:
            return self._look(key)[1]

    def is_full(self, key: str) -> bool:
        """Tell whether no token was taken, or all have come back."""
        with self._lock:
            return self._look(key)[0] >= self.rate.burst

    def _look(self, key: str) -> tuple[float, float]:
        now = self._monotonic()
        tokens, at = self._kept.get(key, (self.rate.burst, now))
        tokens = min(self.rate.burst, tokens + (now - at) * self.rate.per_second)
        return tokens, 0.0 if tokens >= 1 else (1 - tokens) / self.rate.per_second


class Offenders:
    """Remembers who sent requests that were refused, and turns away who sent too many.

    When too many come from all over, those are turned away who sent one lately: others still get their first.
    """

    EACH = Rate(burst=10, per_second=0.2)
    ALL = Rate(burst=200, per_second=10)

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._each = Buckets(self.EACH, monotonic)
        self._all = Buckets(self.ALL, monotonic, most=1)

    def __len__(self) -> int:
        return len(self._each)

    def wait(self, address: str) -> float:
        """Give the seconds for which an address is turned away; 0 where it is not."""
        if self._each.is_full(address):
            return 0.0
        return max(self._each.wait(address), self._all.wait(""))

    def note(self, address: str) -> None:
        """Note that a request was refused."""
        self._each.take(address)
        self._all.take("")


def networks(proxies: Iterable[str]) -> tuple[Network, ...]:
    """Read addresses and networks. Raises ValueError."""
    return tuple(ip_network(each) for each in proxies)


def client_of(peer: str, forwarded: str, proxies: Iterable[Network]) -> str:
    """Give the address that a request comes from: behind our proxies, the last that they say they had it from."""
    shown = peer
    for hop in [peer, *reversed(forwarded.split(","))]:
        try:
            address = ip_address(hop.strip().partition("%")[0])
        except ValueError:
            break
        if isinstance(address, IPv6Address):
            address = address.ipv4_mapped or address
        shown = str(address)
        if not any(address in network for network in proxies):
            break
    return shown


def site_of(address: str) -> str:
    """Give what stands for an address where requests are counted: an IPv6 address' network."""
    if ":" not in address:
        return address
    return str(ip_network((address, IPV6_SITE), strict=False))

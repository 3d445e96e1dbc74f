"""How often is too often, in bounded memory, and whose requests they are."""

from __future__ import annotations

import pytest

from tests.ops.support import Clock
from visionflow_daemon.ops.inbound.limits import MOST_BUCKETS, Buckets, Offenders, Rate, client_of, networks, site_of


def test_a_bucket_gives_its_burst_and_fills_again(clock: Clock) -> None:
    buckets = Buckets(Rate(3, 0.5), clock.monotonic)
    assert [buckets.take("a") for _ in range(5)] == [0, 0, 0, 2, 2]
    assert buckets.take("b") == 0
    clock.pass_by(1)
    assert buckets.wait("a") == 1
    clock.pass_by(1)
    assert [buckets.take("a"), buckets.take("a")] == [0, 2]
    clock.pass_by(1_000)
    assert buckets.is_full("a")
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 2]


def test_memory_is_bounded_however_many_addresses_there_are(clock: Clock) -> None:
    offenders = Offenders(clock.monotonic)
    for number in range(5 * MOST_BUCKETS):
        offenders.note(f"address {number}")
    assert len(offenders) == MOST_BUCKETS


def test_an_address_that_sent_too_many_is_turned_away_alone_and_not_for_ever(clock: Clock) -> None:
    offenders = Offenders(clock.monotonic)
    for _ in range(int(Offenders.EACH.burst)):
        assert offenders.wait("bad") == 0
        offenders.note("bad")
    assert offenders.wait("bad") == pytest.approx(1 / Offenders.EACH.per_second)
    assert offenders.wait("good") == 0
    clock.pass_by(5)
    assert offenders.wait("bad") == 0


def test_when_too_many_come_from_all_over_those_are_turned_away_who_sent_one_lately(clock: Clock) -> None:
    offenders = Offenders(clock.monotonic)
    offenders.note("long ago")
    clock.pass_by(3_600)
    for number in range(int(Offenders.ALL.burst)):
        offenders.note(f"address {number}")
    assert offenders.wait("address 7") > 0
    assert offenders.wait("long ago") == 0
    assert offenders.wait("a forge") == 0


PROXIES = networks(("127.0.0.0/8", "::1", "10.0.0.0/24"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("127.0.0.1", "203.0.113.9, 198.51.100.7", "198.51.100.7"),
        ("127.0.0.1", "203.0.113.9, 10.0.0.5", "203.0.113.9"),
        ("127.0.0.1", "203.0.113.9, <script>, 10.0.0.5", "10.0.0.5"),
        ("::ffff:127.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("fe80::1%eth0", "198.51.100.7", "fe80::1"),
        ("::1", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6"),
        ("127.0.0.1", "unknown", "127.0.0.1"),
        ("127.0.0.1", "," * 4_000, "127.0.0.1"),
    ],
)
def test_the_client_is_whom_our_own_proxies_name(peer: str, forwarded: str, client: str) -> None:
    assert client_of(peer, forwarded, PROXIES) == client


def test_one_customers_ipv6_addresses_count_as_one() -> None:
    assert site_of("2001:db8:1:2:3:4:5:6") == site_of("2001:db8:1:2::1") != site_of("2001:db8:1:3::1")
    assert site_of("192.0.2.1") == "192.0.2.1"

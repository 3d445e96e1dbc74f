"""What stands around the daemon's loop, as one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from visionflow_daemon.config.values import Config
from visionflow_daemon.daemon.keeper import Keeper
from visionflow_daemon.daemon.rota import Rota
from visionflow_daemon.daemon.wake import Wake
from visionflow_daemon.ops.inbound.receiver import Receiver
from visionflow_daemon.ops.observer import Observer
from visionflow_daemon.ops.systemd import Notify
from visionflow_daemon.sync.meter import Meter, Unmeasured


@dataclass(frozen=True, slots=True)
class Around:
    """What stands around the loop: who asks for passes, who is told of them, and who works beside them.

    `adopted` is told of each configuration that the loop works by, `meter_of` gives what measures an ontology's passes,
    `lives` is told of each sign of life of one; by any thread.
    """

    wake: Wake
    rota: Rota
    notify: Notify
    observer: Observer
    receiver: Receiver
    keeper: Keeper
    adopted: Callable[[Config], None] = lambda _: None
    meter_of: Callable[[str], Meter] = lambda _: Unmeasured()
    lives: Callable[[str], None] = lambda _: None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

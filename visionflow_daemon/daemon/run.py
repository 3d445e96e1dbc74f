"""Puts the daemon together, and runs it until a signal ends it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import closing

from visionflow_daemon.config.values import Config
from visionflow_daemon.daemon.around import Around
from visionflow_daemon.daemon.keeper import Keeper
from visionflow_daemon.daemon.loop import Loop
from visionflow_daemon.daemon.memory import share_arenas
from visionflow_daemon.daemon.rota import Rota
from visionflow_daemon.daemon.show import shown
from visionflow_daemon.daemon.signals import heard
from visionflow_daemon.daemon.wake import Wake
from visionflow_daemon.environment import state_directory
from visionflow_daemon.errors import ExitCode
from visionflow_daemon.ops.backup_counts import BackupCounts
from visionflow_daemon.ops.hooks.notifier import Notifier
from visionflow_daemon.ops.inbound.receiver import Receiver
from visionflow_daemon.ops.observer import Each
from visionflow_daemon.ops.systemd import Notify


def serve(load: Callable[[], Config]) -> ExitCode:
    """Run the daemon in the main thread, until SIGTERM or SIGINT; SIGHUP reads the configuration anew.

    Raises ConfigError where there is nothing that could be worked on, or no address to serve at.
    """
    share_arenas(os.environ)
    state = state_directory(os.environ)
    wake = Wake()
    receiver = Receiver(wake.ask_soon)
    counts = BackupCounts()
    with (
        shown(load(), state, receiver, counts) as board,
        closing(Notifier(state, board.observer.notified)) as notifier,
    ):
        around = Around(
            wake=wake,
            rota=Rota(wake),
            notify=Notify(os.environ),
            observer=Each(board.observer, notifier),
            receiver=receiver,
            keeper=Keeper(counts),
            adopted=notifier.configured,
            meter_of=board.meter_of,
            lives=board.lives,
        )
        loop = Loop(load, state, around)
        with heard({signal.SIGTERM: loop.stop, signal.SIGINT: loop.stop, signal.SIGHUP: loop.read_anew}):
            loop.run()
    return ExitCode.OK

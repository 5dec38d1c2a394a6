"""Command line of the embedded stack: ``python -m include.stack run|night|rollback|unfreeze|stop|status|..."""

from __future__ import annotations

import argparse
import os
import sys

from include import command_line
from include.errors import PerennialError
from include.settings import PROJECT


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m include.stack", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="start everything, bring every model to a champion, stay until Ctrl-C")
    run.add_argument(
        "--model", action="append", default=[], metavar="NAME", help="bring only this model to a champion (repeatable)"
    )
    night = commands.add_parser("night", help="run a whole night of one model now, on the running stack")
    night.add_argument("--model", help="optional if there is only one")
    night.add_argument("--seed", help="a random seed other than the model's")
    night.add_argument("--force", help="1: train even if nothing has changed since the last decision")
    rollback = commands.add_parser(
        "rollback", help="put an earlier version of one model into service now; freezes its promotion"
    )
    rollback.add_argument("--version", help="default: the previous champion")
    unfreeze = commands.add_parser("unfreeze", help="allow the promotion of one model again")
    for command in (rollback, unfreeze):
        command.add_argument("--model", help="optional if there is only one")
        command.add_argument("--reason", help="recorded in the audit")
    monitor = commands.add_parser("monitor", help="measure days of one model now, without a run of Airflow")
    monitor.add_argument("--model", help="optional if there is only one")
    monitor.add_argument("--first", help="default: only the last day")
    monitor.add_argument("--last", help="default: the newest published day")
    commands.add_parser("tour", help="lead through champion, rejection, quarantine and rollback, on the running stack")
    commands.add_parser("stop", help="stop the stack of this PERENNIAL_HOME")
    commands.add_parser("status", help="show what runs and what serves")
    airflow = commands.add_parser("airflow", help="Airflow's own command line, with the settings of this stack")
    airflow.add_argument("arguments", nargs=argparse.REMAINDER)
    commands.add_parser("clean", help="delete PERENNIAL_HOME; refuses while its stack runs")
    lock = commands.add_parser("lock", help="write requirements.txt from pyproject.toml")
    lock.add_argument("--upgrade", action="store_true")
    asked = parser.parse_args(arguments)
    try:
        return _dispatch(asked)
    except PerennialError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _dispatch(asked: argparse.Namespace) -> int:
    if asked.command == "lock":
        from include.stack import lock

        lock.write(PROJECT, asked.upgrade)
        return 0
    if asked.command == "run":
        return _run(asked.model)
    from include.stack import night, rollback, running, status
    from include.stack.layout import Stack
    from include.stack.tour import command as guide

    stack = Stack.from_environment().as_recorded()
    if asked.command == "night":
        return night.night(stack, asked.model, asked.seed, asked.force)
    if asked.command == "rollback":
        return rollback.rollback(stack, asked.model, asked.version, asked.reason)
    if asked.command == "unfreeze":
        return rollback.unfreeze(stack, asked.model, asked.reason)
    if asked.command == "monitor":
        from include.stack import monitor

        return monitor.monitor(stack, asked.model, asked.first, asked.last)
    if asked.command == "airflow":
        from pathlib import Path

        from include.stack import confidential, environment

        variables = environment.common_environment(stack, sys.executable) | confidential.of_command_line(stack)
        program = str(Path(sys.executable).parent / "airflow")
        os.execve(program, [program, *asked.arguments], variables)
    return {"tour": guide.tour, "stop": running.stop, "status": status.status, "clean": running.clean}[asked.command](
        stack
    )


def _run(models: list[str]) -> int:
    """`running.run`. The imports take seconds; Ctrl-C stops them as it stops the stack later."""
    from include.stack.signals import Stopped, StopSignals

    signals = StopSignals()
    try:
        from include.stack import running
        from include.stack.layout import Stack

        return running.run(Stack.from_environment(), models, signals)
    except Stopped:
        return 0


if __name__ == "__main__":
    command_line.run(main)

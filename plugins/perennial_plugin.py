"""Registers Perennial with Airflow: the timetables, task links, run notes, and the Models pages."""

from __future__ import annotations

from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin
from perennial import notes, refusals, tickets
from perennial.console.app import PREFIX, Console
from perennial.console.navigation import external_views
from perennial.console.runs_for_tasks import RunsForTasks
from perennial.links import LINKS
from perennial.timetables import BrokenFolderTimetable, DailyPartitionTimetable, NightTimetable


class PerennialPlugin(AirflowPlugin):
    """One plugin for the whole project."""

    name = "perennial"
    timetables: ClassVar[list[Any]] = [DailyPartitionTimetable, NightTimetable, BrokenFolderTimetable]
    operator_extra_links: ClassVar[list[Any]] = list(LINKS)
    listeners: ClassVar[list[Any]] = [notes, refusals]
    fastapi_apps: ClassVar[list[Any]] = [
        {"app": Console(), "url_prefix": PREFIX, "name": "Perennial"},
        {"app": RunsForTasks(), "url_prefix": tickets.PREFIX, "name": "Runs for the watchdog"},
    ]
    external_views: ClassVar[list[Any]] = external_views()

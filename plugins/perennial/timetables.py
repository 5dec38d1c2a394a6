"""The timetables of `<model>_collect`, `<model>_retrain` and `<model>_broken`.

`<model>_collect` has one run a day, about the local day that is over and whose labels are final. Airflow's own
`CronPartitionTimetable` names a partition by the cron tick. That gives the same day two partition dates (the tick for
scheduled runs, midnight for a run started with its key), and a back-fill "1 to 3 November" ends at midnight of the 3rd,
before that day's tick, so it silently leaves the last day out. Here the partition date is the local midnight at which
the day begins, for scheduled, back-filled and manual runs alike.

`<model>_retrain` follows a cron expression, from the first night after Airflow has seen the model. `<model>_broken`
runs once for each broken state of a folder.
"""

from __future__ import annotations

import copy
import datetime
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pendulum
from airflow.exceptions import InvalidPartitionKeyError
from airflow.sdk import timezone as clock
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable
from airflow.timetables.trigger import CronPartitionTimetable, CronTriggerTimetable

from include.partitions import FIRST_YEAR, KEY_FORMAT, LAST_YEAR, days_back

if TYPE_CHECKING:
    from pendulum import DateTime


log = logging.getLogger(__name__)

MOST_DAYS = 36_500
GRACE = datetime.timedelta(minutes=5)  # in which the scheduler creates the first night of a model after its tick


class DailyPartitionTimetable(CronPartitionTimetable):
    """Runs at ``cron`` (local time of ``timezone``), for the newest local day whose labels are final by then.

    Parameters
    ----------
    cron : five-field cron expression with one tick a day.
    timezone : IANA name.
    delay : how long after the end of a day its last label is final (`Label.delay`); 0: the day before the tick.
    """

    def __init__(self, cron: str, *, timezone: Any, delay: datetime.timedelta = datetime.timedelta(0)) -> None:
        super().__init__(cron, timezone=timezone, run_offset=-1, key_format=KEY_FORMAT)
        self._delay = delay

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> DailyPartitionTimetable:
        delay = datetime.timedelta(seconds=data.get("delay", 0))  # a DAG that an older version serialized has no delay
        return cls(data["expression"], timezone=data["timezone"], delay=delay)

    def serialize(self) -> dict[str, Any]:
        from airflow.serialization.encoders import encode_timezone

        return {
            "expression": self._expression,
            "timezone": encode_timezone(self._timezone),
            "delay": self._delay.total_seconds(),
        }

    def _midnight(self, day: datetime.date) -> DateTime:
        return pendulum.datetime(day.year, day.month, day.day, tz=self._timezone).in_timezone("UTC")

    def _decode_partition_date(self, partition_key: str) -> datetime.datetime:
        """The local midnight of a key; a key of a year without partitions is refused when the run is created."""
        decoded = super()._decode_partition_date(partition_key)
        if not FIRST_YEAR <= decoded.year <= LAST_YEAR:
            raise InvalidPartitionKeyError(
                f"Partition key {partition_key!r} is out of range: give a day of the years {FIRST_YEAR} to {LAST_YEAR}"
            )
        return decoded

    def _get_partition_date(self, *, run_date: DateTime) -> DateTime:
        local = pendulum.instance(run_date).in_timezone(self._timezone)
        return self._midnight(local.date() - datetime.timedelta(days=days_back(local.time(), self._delay)))

    def next_dagrun_info_v2(
        self, *, last_dagrun_info: DagRunInfo | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """The first tick, due now or later, whose day is not older than the newest day with a run.

        Airflow's own rule takes the first tick after the ``run_after`` of that run. For a back-fill, this is the
        midnight at which its day begins. So after a back-fill of a day whose tick is still to come, the previous tick
        would be due again, with a new run each time the file is parsed.
        """
        info = super().next_dagrun_info_v2(last_dagrun_info=last_dagrun_info, restriction=restriction)
        newest = last_dagrun_info.partition_date if last_dagrun_info else None
        now = pendulum.instance(clock.utcnow())
        if info is None or info.partition_date is None or newest is None or info.partition_date >= newest:
            return info
        run_after = info.run_after
        while run_after <= now and self._get_partition_date(run_date=run_after) < newest:
            run_after = self._get_next(run_after)
        if restriction.latest is not None and restriction.latest < run_after:
            return None
        date, key = self._get_partition_info(run_date=run_after)
        return DagRunInfo(run_after=run_after, data_interval=None, partition_date=date, partition_key=key)

    def iter_partition_dagrun_infos(
        self, *, earliest: datetime.datetime, latest: datetime.datetime
    ) -> Iterable[DagRunInfo]:
        """One run for each local day that begins between the two bounds, both included.

        Raises
        ------
        InvalidBackfillDateRange : a bound is in a year without partitions, or the bounds are more than `MOST_DAYS`
            apart: their runs would be created one by one, and keep Airflow busy for days.
        """
        years = (earliest.year, latest.year)
        if min(years) < FIRST_YEAR or max(years) > LAST_YEAR or (latest - earliest).days > MOST_DAYS:
            from airflow.models.backfill import InvalidBackfillDateRange

            raise InvalidBackfillDateRange(
                f"A back-fill from {earliest.date()} to {latest.date()} is out of range: give at most {MOST_DAYS} "
                f"days of the years {FIRST_YEAR} to {LAST_YEAR}"
            )
        first, last = (self.localize_partition_datetime(d) for d in (earliest, latest))
        day = first.in_timezone(self._timezone).date()
        while (begin := self._midnight(day)) <= last:
            if begin >= first:
                yield DagRunInfo(
                    run_after=begin, data_interval=None, partition_date=begin, partition_key=day.strftime(KEY_FORMAT)
                )
            day += datetime.timedelta(days=1)


class NightTimetable(CronTriggerTimetable):
    """A cron expression whose first run is the next night, not the last one.

    Without back-fills, Airflow starts the newest past run of a DAG that has none. For a new model this is the night
    before its data was loaded, which can only be skipped. Once a run that a person has started was a success, a night
    that Airflow missed while it was down is made up for, as Airflow does it once a DAG has had a scheduled run.
    """

    _dag_id: str | None = None

    def of(self, dag_id: str) -> NightTimetable:
        """This timetable for one DAG, whose runs it knows. A copy is cheap; a new one is put into words by Airflow."""
        made = copy.copy(self)
        made._dag_id = dag_id
        return made

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> NightTimetable:
        made: NightTimetable = super().deserialize(data)
        made._dag_id = data.get("dag_id")  # a DAG that an older version serialized has none
        return made

    def serialize(self) -> dict[str, Any]:
        return {**super().serialize(), "dag_id": self._dag_id}

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        if last_automated_data_interval is None and not restriction.catchup:
            trained = None if self._dag_id is None else _newest_success(self._dag_id)
            begin = trained or pendulum.instance(clock.utcnow()) - GRACE
            earliest = begin if restriction.earliest is None else max(restriction.earliest, begin)
            # without back-fills: the newest night since, or the next one; with them: the first one since
            restriction = TimeRestriction(earliest, restriction.latest, catchup=trained is None)
        return super().next_dagrun_info(
            last_automated_data_interval=last_automated_data_interval, restriction=restriction
        )


def _newest_success(dag_id: str) -> DateTime | None:
    """When the newest run of a DAG that was a success began; None if there is none, or it cannot be asked for.

    Only the DAG processor asks, which has Airflow's database, and only about a DAG without a scheduled run.
    """
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import func, select

    query = select(func.max(DagRun.run_after)).where(DagRun.dag_id == dag_id, DagRun.state == "success")
    try:
        with create_session(scoped=False) as session:
            found = session.scalar(query)
    except Exception:  # an error here would leave the DAG without any night
        log.exception("The runs of %s cannot be read, so a first night that was missed is not made up for", dag_id)
        return None
    return None if found is None else pendulum.instance(found)


class BrokenFolderTimetable(Timetable):
    """One run, at once, for each state of a broken folder.

    The state is the partition key of the run. So neither a parse nor a restart starts another one, and a folder that
    breaks again in another way gets a new one; with Airflow's ``@once`` it would not.

    Parameters
    ----------
    state : the content of the folder, as a digest. Not its problem: an error message can differ at each parse.
    """

    partitioned = True
    periodic = False
    description = "Once for each broken state of the folder"

    def __init__(self, state: str) -> None:
        self._state = state

    @property
    def summary(self) -> str:
        return "when the folder breaks"

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> BrokenFolderTimetable:
        return cls(data["state"])

    def serialize(self) -> dict[str, Any]:
        return {"state": self._state}

    def next_dagrun_info_v2(
        self, *, last_dagrun_info: DagRunInfo | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """A run now, unless the newest one is about the same state."""
        if last_dagrun_info is not None and last_dagrun_info.partition_key == self._state:
            return None
        now = pendulum.instance(clock.utcnow())
        return DagRunInfo(run_after=now, data_interval=None, partition_date=None, partition_key=self._state)

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        return DataInterval.exact(run_after)

    def iter_partition_dagrun_infos(
        self, *, earliest: datetime.datetime, latest: datetime.datetime
    ) -> Iterable[DagRunInfo]:
        """Nothing: a back-fill cannot break a folder in the past."""
        return ()

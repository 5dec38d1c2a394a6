"""What a day of flights must look like: the known faults of the real data, each with its consequence.

Severity ``warning`` sends the rows that fail to quarantine (a physical impossibility must not be learned from), or
reports a table that is unusual; ``info`` reports what is known and harmless. What ends a partition is in the contract
(key, event time, schema) and in the two critical expectations at the top.
"""

from __future__ import annotations

import great_expectations.expectations as gxe
from great_expectations.expectations.expectation import Expectation
from great_expectations.expectations.row_conditions import Column

ORIGINS = ["EWR", "JFK", "LGA"]
# The carriers that fly every month. OO (SkyWest) flew 32 times in five months; a model learns next to nothing about it.
REGULAR_CARRIERS = ["9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "UA", "US", "VX", "WN", "YV"]
UNLISTED_AIRPORTS = ["BQN", "PSE", "SJU", "STT"]  # Caribbean; served daily
# Local times as numbers, hhmm: 517 is 05:17. A pattern, not the set of the 1,441 times: Great Expectations copies a set
# some hundred times while it plans a validation, which took 0.8 s a partition.
CLOCK = r"^(?:\d|[1-5]\d|(?:1?\d|2[0-3])[0-5]\d|2400)(?:\.0)?$"
CLOCK_OF_OUTCOMES = CLOCK.replace("^", r"^(?!0(?:\.0)?$)")  # actual times are 2400 for midnight, never 0


def suite() -> list[Expectation]:
    """The expectations of one partition, most serious first."""
    return [*_table(), *_schedule(), *_weather(), *_outcome(), *_coverage()]


def _table() -> list[Expectation]:
    return [
        gxe.ExpectTableRowCountToBeBetween(
            min_value=300,
            max_value=2000,
            severity="critical",
            description="a day has 300 to 2,000 flights (634 to 1,014 in 2013), not half a delivery and not two days",
        ),
        gxe.ExpectColumnProportionOfNonNullValuesToBeBetween(
            column="late",
            min_value=0.1,
            severity="critical",
            description="at least 10 % of the flights have an outcome (42 % on the day of the blizzard)",
        ),
    ]


def _schedule() -> list[Expectation]:
    return [
        gxe.ExpectColumnValuesToBeInSet(
            column="origin", value_set=ORIGINS, severity="warning", description="origin is EWR, JFK or LGA"
        ),
        gxe.ExpectColumnValuesToMatchRegex(
            column="carrier",
            regex="^[0-9A-Z]{2}$",
            severity="warning",
            description="carrier is a code of two characters",
        ),
        gxe.ExpectColumnValuesToMatchRegex(
            column="dest", regex="^[A-Z]{3}$", severity="warning", description="dest is a code of three letters"
        ),
        _between("flight", 1, 9999, "flight numbers are 1 to 9999"),
        _between("distance", 10, 6000, "flights go 10 to 6,000 miles (17 to 4,983 in 2013)"),
        _clock("sched_dep_time"),
        _clock("sched_arr_time"),
    ]


def _weather() -> list[Expectation]:
    return [
        _between("wind_speed", 0, 100, "wind is at most 100 mph (42.6 in 2013, but for one observation of 1048)"),
        _between("wind_gust", 0, 150, "gusts are at most 150 mph (66.7 in 2013)"),
        _between("wind_dir", 0, 360, "wind direction is 0 to 360 degrees"),
        _between("temp", -30, 120, "temperature is -30 to 120 F (10.9 to 100 in 2013)"),
        _between("dewp", -50, 95, "dew point is -50 to 95 F"),
        _between("humid", 0, 100, "humidity is 0 to 100 %"),
        _between("precip", 0, 5, "rain is at most 5 inches an hour (1.21 in 2013)"),
        _between("pressure", 900, 1090, "pressure is 900 to 1,090 millibars"),
        _between("visib", 0, 100, "visibility is 0 to 100 miles (10 is the instrument's limit)"),
    ]


def _outcome() -> list[Expectation]:
    return [
        _clock("dep_time", CLOCK_OF_OUTCOMES),
        _clock("arr_time", CLOCK_OF_OUTCOMES),
        _between(
            "dep_delay",
            -120,
            2880,
            "departures are up to 2 hours early, 2 days late (-43 to 1,301 min in 2013)",
        ),
        _between("arr_delay", -180, 2880, "arrivals are up to 3 hours early, 2 days late (-86 to 1,272 min in 2013)"),
        _between("air_time", 10, 1000, "flights are in the air for 10 to 1,000 minutes (20 to 695 in 2013)"),
        gxe.ExpectColumnValuesToBeInSet(
            column="late", value_set=[0, 1], severity="warning", description="late is 0 or 1"
        ),
    ]


def _coverage() -> list[Expectation]:
    """What is often missing, new or unusual: reported, never a reason to lose rows."""
    return [
        gxe.ExpectColumnValuesToBeInSet(
            column="cancelled",
            value_set=[False],
            mostly=0.9,
            severity="info",
            description="at most 10 % of the flights are cancelled (2.5 % in 2013; 51 % and 57 % on 8 and 9 February)",
        ),
        gxe.ExpectColumnValuesToBeInSet(
            column="diverted",
            value_set=[False],
            mostly=0.98,
            severity="info",
            description="at most 2 % of the flights are diverted (0.35 % in 2013)",
        ),
        gxe.ExpectColumnMeanToBeBetween(
            column="late",
            min_value=0.03,
            max_value=0.7,
            severity="info",
            description="3 % to 70 % of the flights with an outcome are late (24.5 % in 2013)",
        ),
        gxe.ExpectColumnProportionOfNonNullValuesToBeBetween(
            column="temp",
            min_value=0.9,
            severity="warning",
            description="90 % of the flights have weather (31 December has none after 2013's observations end)",
        ),
        gxe.ExpectColumnProportionOfNonNullValuesToBeBetween(
            column="plane_year",
            min_value=0.7,
            severity="warning",
            description="70 % of the aircraft are in the register (85 % in 2013; MQ and AA report fleet numbers)",
        ),
        gxe.ExpectColumnValuesToBeInSet(
            column="dest",
            value_set=UNLISTED_AIRPORTS,
            row_condition=Column("dest_lat").is_null(),
            severity="info",
            description="only BQN, PSE, SJU and STT are missing in the table of airports",
        ),
        gxe.ExpectColumnValuesToBeInSet(
            column="carrier",
            value_set=REGULAR_CARRIERS,
            severity="info",
            description="every carrier flies all year (OO flew 32 times in five months)",
        ),
    ]


def _between(column: str, low: float, high: float, sentence: str) -> Expectation:
    return gxe.ExpectColumnValuesToBeBetween(
        column=column, min_value=low, max_value=high, severity="warning", description=sentence
    )


def _clock(column: str, pattern: str = CLOCK) -> Expectation:
    return gxe.ExpectColumnValuesToMatchRegex(
        column=column, regex=pattern, severity="warning", description=f"{column} is a time of day, hhmm, up to 2400"
    )

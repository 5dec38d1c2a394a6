"""The model of `make tour`: will a parcel arrive late? Its rows are made up, so that each step can be shown at once."""

from datetime import date

from include.spec import Column, ColumnType, Data, Gate, Known, Label, Model, Monitoring, Task, Training

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
    # 62 days: what its monitor compares a day with has to be 60 days or more
    training=Training(
        schedule=None, window_days=62, selection_days=3, holdout_days=10, slack_days=2, min_rows=200, metric="log_loss"
    ),
    gate=Gate(margin=0.02, min_days=5, min_rows=300),
    # a single day opens an incident; a model in service should wait for several
    monitoring=Monitoring(alarm_days=1, of_days=1, paired_days=7, probe_days=1, cooldown_days=1),
)

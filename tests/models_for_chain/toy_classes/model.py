"""The model: three classes (text) on about 150 rows a day, with a text category and missing values."""

from datetime import date

from include.spec import Column, ColumnType, Data, Gate, Known, Label, Model, Task, Training

MODEL = Model(
    name="toy_classes",
    owner="tests",
    description="A toy: how busy a made-up shop will be.",
    start=date(2025, 1, 1),
    tags=("test",),
    data=Data(
        columns=(
            Column(name="id", type=ColumnType.INTEGER, nullable=False),
            Column(name="at", type=ColumnType.TIMESTAMP, nullable=False),
            Column(name="shop", type=ColumnType.STRING),
            Column(name="x", type=ColumnType.NUMBER, description="the strongest signal, a tenth of it missing"),
            Column(name="z", type=ColumnType.NUMBER, description="a weaker one"),
            Column(name="empty", type=ColumnType.NUMBER, description="always missing"),
            Column(name="level", type=ColumnType.STRING, known=Known.AFTER, description="how busy; null: closed"),
        ),
        key=("id",),
        event_time="at",
        label=Label(column="level", task=Task.CLASSIFICATION, classes=("quiet", "normal", "busy")),
    ),
    training=Training(window_days=15, selection_days=3, holdout_days=7, slack_days=2, min_rows=200, metric="log_loss"),
    gate=Gate(margin=0.05, min_days=5, min_rows=300, min_class_rows=50),
)

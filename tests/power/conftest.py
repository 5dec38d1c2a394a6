"""A folder of models with a known drift, as in the back-tests."""

from tests.backtest.conftest import drifting as drifting

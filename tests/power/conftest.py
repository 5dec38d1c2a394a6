"""A folder of models with a known drift, as the back-tests have it."""

from tests.backtest.conftest import drifting as drifting

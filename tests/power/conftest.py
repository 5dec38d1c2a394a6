"""A folder of models with a known drift, and measurements without workers, as in the back-tests."""

from tests.backtest.conftest import drifting as drifting
from tests.backtest.conftest import in_one_process as in_one_process

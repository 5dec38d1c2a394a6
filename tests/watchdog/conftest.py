"""The home and the folders of models of the tests of the overview."""

from tests.overview.conftest import folder, home, services

__all__ = ["folder", "home", "services"]

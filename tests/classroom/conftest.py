"""Commands in processes of their own, as the tests of the terminal start them."""

from tests.terminal.conftest import start

__all__ = ["start"]

"""What all tests need of the process they run in."""

import signal


def pytest_configure():
    """Take Ctrl-C again where a runner in the background ignores it: children inherit that, signal(7)."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)

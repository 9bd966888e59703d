"""The Invoke tasks of fleet, one module a family."""

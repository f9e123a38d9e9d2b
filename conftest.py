"""Loads the medbench plugin in a checkout that was not installed; an installed one comes by entry point."""

pytest_plugins = ["medbench.pytest_plugin"]

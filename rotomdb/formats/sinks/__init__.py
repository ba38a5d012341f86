"""Sinks: what a walk over an RDB is for. Each makes one thing of the values that the walker hands it."""

"""rotomdb: a Redis-compatible server built around durability, and tools for its files."""

__version__ = "0.1.0"

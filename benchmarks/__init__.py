"""Side-by-side measurements against a real redis-server, printed as ratios: `make bench`."""

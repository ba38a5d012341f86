"""A data set that is kept: engine, commands, log and snapshots, put together and held in order. No sockets, no clients."""

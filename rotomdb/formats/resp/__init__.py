"""RESP: requests as they come in, and the pieces that replies and log commands are made of."""

"""The append-only file: its items and annotations, what is wrong with them, their replay, and its manifest."""

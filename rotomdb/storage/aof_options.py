"""What the configuration says about the append-only file."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ALL_OFFSETS = (1 << 63) - 1
Log = Callable[[str, str], None]  # level, message


class FsyncPolicy(enum.Enum):
    ALWAYS = "always"
    EVERYSEC = "everysec"
    NO = "no"


@dataclass
class AofOptions:
    """Changed in place by CONFIG SET."""

    directory: Path
    file_name: str = "appendonly.aof"
    append_directory: str = "appendonlydir"
    single_file: bool = False
    policy: FsyncPolicy = FsyncPolicy.EVERYSEC
    no_sync_on_rewrite: bool = False
    checksum: bool = True
    keep_history: bool = False
    exit_on_error: bool = False

    @property
    def log_directory(self) -> Path:
        return self.directory if self.single_file else self.directory / self.append_directory

    @property
    def log_place(self) -> Path:
        """What the tools take for the log: the append directory, or the single file."""
        return self.directory / (self.file_name if self.single_file else self.append_directory)

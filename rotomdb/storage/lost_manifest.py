"""Log files that no manifest names: what a crash left of a log that was only begun, or all the data that there is.

a temporary increment beside them      the log was being turned on, and nobody was promised anything of it: put aside
a base like the snapshot, or without   the log was being opened for the first time, from the same data: made again
keys; nothing in increments
anything else                          the start is refused
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rotomdb.errors import LostManifestError, RdbError
from rotomdb.storage.aof import AppendOnlyFile
from rotomdb.storage.disk import Disk
from rotomdb.storage.way_on import rebuild


def settle_unnamed_files(disk: Disk, aof: AppendOnlyFile, snapshot: Path, fingerprint: Callable[[Path], bytes]) -> None:
    """See to it that nothing is begun over a log whose manifest is gone.

    Args:
        fingerprint: Of the content of an RDB; of no content where the file does not exist.

    Raises:
        LostManifestError: the files may be all that there is.
    """
    paths = aof.unnamed_files()
    if not paths or disk.exists(aof.manifest_path):
        return  # one that has lost its end is refused with the files that it names
    if disk.exists(aof.waiting_path):
        aof.log("warning", "A crash came before the append only file was on: what had been written of it is put aside.")
        aof.keep_superseded(paths)
    elif not was_begun(disk, paths, snapshot, fingerprint):
        raise LostManifestError(
            f"{aof.options.log_directory} holds {', '.join(path.name for path in paths)}, but no {aof.manifest_name} says how "
            f"they belong together. Nothing was loaded or changed. `{rebuild(aof.options.log_place)}` "
            "writes one; to begin without these files, move them away."
        )


def was_begun(disk: Disk, paths: list[Path], snapshot: Path, fingerprint: Callable[[Path], bytes]) -> bool:
    """Whether these are the first files of a log that is made of the snapshot, and nothing has been logged yet."""
    written = [path for path in paths if disk.size(path)]
    if not written:
        return True
    if len(written) > 1 or not written[0].name.endswith(".base.rdb"):
        return False
    try:
        return fingerprint(written[0]) == fingerprint(snapshot)
    except RdbError:
        return False

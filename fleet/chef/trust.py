"""Whose word a file of settings is: one that is run, or names a program to run, must be nobody's but ours or root's."""

import os
import pwd
import stat
from pathlib import Path

from fleet.errors import SettingsError

OTHERS = stat.S_IWGRP | stat.S_IWOTH


def check(file: Path) -> Path:
    """Return `file` if nobody but this user and root could have written it or put it where it is.

    That is asked of the file and of the directory it is in, and of what they are where they are links: knife looks for
    .chef upwards, and above the working directory (in /tmp, say) may be anybody's. One that is not there is left to
    whoever reads it. Raises SettingsError naming what is wrong, its owner and what to do.
    """
    file = Path(file)
    real = Path(os.path.realpath(file))
    for path in dict.fromkeys((file.parent, file, real.parent, real)):
        try:
            found = path.lstat()
        except OSError:
            continue
        writable = not stat.S_ISLNK(found.st_mode) and found.st_mode & OTHERS
        if found.st_uid not in (0, os.geteuid()) or writable:
            which = str(path) if path == file else f"{path} (for {file})"
            raise SettingsError(
                f"{which} is {_owner(found.st_uid)}'s with mode {stat.S_IMODE(found.st_mode):04o} and not read: it can "
                "run programs as you, so it must be yours or root's, and writable by nobody else; look what it says, "
                "then chown it and chmod go-w it, or work in another directory"
            )
    return file


def _owner(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"

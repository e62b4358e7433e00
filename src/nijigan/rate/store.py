"""The votes, in one SQLite file. Each vote is on disk before the next face is shown."""

import os
import sqlite3
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nijigan.errors import UserError

NAME = "ratings.sqlite"

BUSY_SECONDS = 30.0
"""How long a call waits for another process that is writing to the file."""

_TABLE = """
CREATE TABLE IF NOT EXISTS votes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    face TEXT NOT NULL UNIQUE,
    source TEXT NOT NULL,
    good INTEGER NOT NULL CHECK (good IN (0, 1)),
    cast_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
)
"""


class VoteStore:
    """The votes of one rater, by face. A vote also counts on later ballots with the same face.

    Every call opens the file, so calls may come from any thread and from several processes. They take turns. The file
    can only be read by its owner.

    Args:
        folder: the folder of the file; both are created if missing.

    Raises:
        UserError: the folder is not writable, or the file is not a store of votes. The methods raise it as well if the
            file can no longer be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._turn = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _create_private(self.path)
        except OSError as error:
            raise self._failure(error.strerror or error) from error
        with self._open() as database:
            # Not a write-ahead log (of version 0.1), which needs memory that processes share: network disks have none.
            database.execute("PRAGMA journal_mode = DELETE")
            database.execute(_TABLE)
            database.execute("SELECT id, face, source, good, cast_at FROM votes LIMIT 1")

    def cast(self, face: str, source: str, good: bool) -> None:
        """Record a vote; it replaces an earlier one on the same face."""
        with self._open() as database:
            database.execute("REPLACE INTO votes (face, source, good) VALUES (?, ?, ?)", (face, source, good))

    def undo(self, faces: Collection[str]) -> None:
        """Remove the latest vote on any of these faces, if there is one."""
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")  # no other process may vote between the two statements
            for number, face in database.execute("SELECT id, face FROM votes ORDER BY id DESC"):
                if face in faces:
                    database.execute("DELETE FROM votes WHERE id = ?", (number,))
                    return

    def votes(self) -> dict[str, bool]:
        """Whether each rated face is good."""
        with self._open() as database:
            return {face: bool(good) for face, good in database.execute("SELECT face, good FROM votes")}

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection, for one thread at a time: SQLite's own waiting is not fair, and gives up under load."""
        with self._turn:
            database = None
            try:
                # With this mode a file that was deleted is an error, not a new file that everybody can read.
                address = f"{self.path.absolute().as_uri()}?mode=rw"
                database = sqlite3.connect(address, timeout=BUSY_SECONDS, uri=True)
                with database:  # commits, or rolls back
                    yield database
            except sqlite3.Error as error:
                raise self._failure(error) from error
            finally:
                if database is not None:
                    database.close()

    def _failure(self, reason: object) -> UserError:
        return UserError(f"Votes cannot be stored in {self.path} ({reason}); choose another folder.")


def _create_private(path: Path) -> None:
    """Create a file that only its owner can read and write, or make an existing one such."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        if not path.is_file():
            raise
        with suppress(OSError):  # it belongs to another user, or the disk knows no modes
            path.chmod(0o600)

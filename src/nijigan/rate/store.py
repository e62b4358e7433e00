"""The votes, in one SQLite file. Each vote is on disk before the next face is shown."""

import os
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from nijigan.errors import UserError

NAME = "ratings.sqlite"

Showing = tuple[str, bool]
"""The identity of a face, and whether it is shown for the second time."""

BUSY_SECONDS = 30.0
"""How long a call waits for another process that is writing to the file."""

_TABLE = """
CREATE TABLE IF NOT EXISTS verdicts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    face TEXT NOT NULL,
    source TEXT NOT NULL,
    rater TEXT NOT NULL,
    repeat INTEGER NOT NULL CHECK (repeat IN (0, 1)),
    good INTEGER NOT NULL CHECK (good IN (0, 1)),
    reason TEXT NOT NULL,
    cast_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
    UNIQUE (face, rater, repeat)
)
"""
_FROM_0_1 = """
INSERT OR IGNORE INTO verdicts (face, source, rater, repeat, good, reason, cast_at)
SELECT face, source, '', 0, good, '', cast_at FROM votes ORDER BY id
"""


@dataclass(frozen=True)
class Vote:
    """What a rater says of one face."""

    face: str
    """The identity of the face; see `Ballot.faces`."""
    source: str
    """The name of its model, or `ballot.REAL`."""
    repeat: bool
    """Whether the face was shown for the second time."""
    good: bool
    reason: str = ""
    """What is wrong with it, if the rater said so."""


class VoteStore:
    """The votes of all raters, and the view of one of them. A vote also counts on later ballots with the same face.

    Every call opens the file, so calls may come from any thread and from several processes. They take turns. The file
    can only be read by its owner.

    Args:
        folder: the folder of the file; both are created if missing.
        rater: whose votes the methods read and write.

    Raises:
        UserError: the folder is not writable, or the file is not a store of votes. The methods raise it as well if the
            file can no longer be read or written.
    """

    def __init__(self, folder: Path, rater: str = "") -> None:
        self.path = folder / NAME
        self.rater = rater
        self._turn = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _create_private(self.path)
        except OSError as error:
            raise self._failure(error.strerror or error) from error
        with self._open() as database:
            # Not a write-ahead log (of version 0.1), which needs memory that processes share: network disks have none.
            database.execute("PRAGMA journal_mode = DELETE")
            database.execute("BEGIN IMMEDIATE")
            database.execute(_TABLE)
            if database.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'votes'").fetchone():
                database.execute(_FROM_0_1)
                database.execute("DROP TABLE votes")
            database.execute("SELECT id, face, source, rater, repeat, good, reason, cast_at FROM verdicts LIMIT 1")

    def cast(self, face: str, source: str, good: bool, *, repeat: bool = False, reason: str = "") -> None:
        """Record a vote; it replaces the rater's earlier one on the same showing of the same face."""
        self.cast_all([Vote(face, source, repeat, good, reason)])

    def cast_all(self, votes: Iterable[Vote]) -> None:
        """Record votes, all of them or none."""
        rows = [(vote.face, vote.source, self.rater, vote.repeat, vote.good, vote.reason) for vote in votes]
        with self._open() as database:
            database.executemany(
                "REPLACE INTO verdicts (face, source, rater, repeat, good, reason) VALUES (?, ?, ?, ?, ?, ?)", rows
            )

    def undo(self, showings: Collection[Showing]) -> None:
        """Remove the rater's latest vote on any of these, if there is one."""
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")  # no other process may vote between the two statements
            query = "SELECT id, face, repeat FROM verdicts WHERE rater = ? ORDER BY id DESC"
            for number, face, repeat in database.execute(query, (self.rater,)):
                if (face, bool(repeat)) in showings:
                    database.execute("DELETE FROM verdicts WHERE id = ?", (number,))
                    return

    def votes(self) -> dict[Showing, bool]:
        """Whether the rater called each face good, for the first and the second showing."""
        with self._open() as database:
            rows = database.execute("SELECT face, repeat, good FROM verdicts WHERE rater = ?", (self.rater,))
            return {(face, bool(repeat)): bool(good) for face, repeat, good in rows}

    def other_raters(self) -> dict[str, dict[Showing, bool]]:
        """The votes of everyone else, by rater."""
        others: dict[str, dict[Showing, bool]] = {}
        with self._open() as database:
            query = "SELECT rater, face, repeat, good FROM verdicts WHERE rater != ? ORDER BY rater, id"
            for rater, face, repeat, good in database.execute(query, (self.rater,)):
                others.setdefault(rater, {})[face, bool(repeat)] = bool(good)
        return others

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

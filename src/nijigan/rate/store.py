"""The votes, in one SQLite file. Each vote is on disk before the next face is shown."""

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from nijigan.errors import UserError

NAME = "ratings.sqlite"

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

    Every call opens the file, so calls may come from any thread and from several processes.

    Args:
        folder: the folder of the file; both are created if missing.

    Raises:
        UserError: the folder is not writable, or the file is not a store of votes.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with self._open() as database:
                database.execute("PRAGMA journal_mode = WAL")
                database.execute(_TABLE)
                database.execute("SELECT id, face, source, good, cast_at FROM votes LIMIT 1")
        except (OSError, sqlite3.Error) as error:
            raise UserError(f"Votes cannot be stored in {self.path} ({error}); choose another folder.") from error

    def cast(self, face: str, source: str, good: bool) -> None:
        """Record a vote; it replaces an earlier one on the same face."""
        with self._open() as database:
            database.execute("REPLACE INTO votes (face, source, good) VALUES (?, ?, ?)", (face, source, good))

    def undo(self, faces: Collection[str]) -> None:
        """Remove the latest vote on any of these faces, if there is one."""
        with self._open() as database:
            for number, face in database.execute("SELECT id, face FROM votes ORDER BY id DESC").fetchall():
                if face in faces:
                    database.execute("DELETE FROM votes WHERE id = ?", (number,))
                    return

    def votes(self) -> dict[str, bool]:
        """Whether each rated face is good."""
        with self._open() as database:
            return {face: bool(good) for face, good in database.execute("SELECT face, good FROM votes")}

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self.path)
        try:
            with database:  # commits, or rolls back
                yield database
        finally:
            database.close()

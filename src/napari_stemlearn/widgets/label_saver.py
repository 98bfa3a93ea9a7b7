"""Keeps labels on disk: soon after each change, again while that fails, and at the end as a copy elsewhere."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable

from qtpy.QtCore import QObject, QTimer, Signal

from napari_stemlearn.errors import StemlearnError
from napari_stemlearn.labelling.label_store import free_name, remove_set, rescue_root
from napari_stemlearn.widgets.background import Background, sentence_of
from napari_stemlearn.widgets.label_session import LabelSession
from napari_stemlearn.widgets.open_labels import names_at_work

SAVE_MS = 1000
"""Labels are written this long after the first change that is not yet on disk."""
RETRY_MS = 10000
"""Labels that could not be written are tried again after this time."""

NOT_SAVED = "The labels are not saved:"

Job = tuple[LabelSession, Callable[[], None]]


class LabelSaver(QObject):
    """Writes the labels of sessions; `done` brings those that were written, or failed to be.

    `stepped_aside` brings a session that writes to another file from now on, and a sentence that says why.

    Parameters
    ----------
    sessions
        Gives the sessions at work.
    """

    done = Signal(list)
    stepped_aside = Signal(object, str)

    def __init__(self, sessions: Callable[[], list[LabelSession]], parent: QObject | None = None):
        super().__init__(parent)
        self._sessions = sessions
        self._background = Background(self)
        self._background.done.connect(self._arrived)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._write)

    @property
    def problem(self) -> str | None:
        """A sentence while labels cannot be written."""
        failures = dict.fromkeys(session.failure for session in self._sessions() if session.failure)
        return f"{NOT_SAVED} {' '.join(map(str, failures))}" if failures else None

    def soon(self) -> None:
        """Something changed: write it soon."""
        if not self._timer.isActive() or self._timer.remainingTime() > SAVE_MS:
            self._timer.start(SAVE_MS)

    def write_now(self, session: LabelSession) -> None:
        """Write what is not yet on disk before it goes out of sight; where that fails, a copy goes elsewhere."""
        if session.unsaved:
            _note(session, _attempt(session.save_job()))
            while session.overtaken:
                self._step_aside(session)
                _note(session, _attempt(session.save_job()))
            if session.failure and not session.is_empty:
                rescue(session)
            self.done.emit([session])

    def _write(self) -> None:
        if self._background.running:
            self._timer.start(SAVE_MS)
            return
        jobs = [(session, session.save_job()) for session in self._sessions() if session.unsaved]
        if jobs:
            self._background.start(_attempt_all, jobs)

    def _arrived(self, results: list[tuple[LabelSession, str | None]]) -> None:
        for session, sentence in results:
            _note(session, sentence)
            if session.overtaken:
                self._step_aside(session)
        if any(session.unsaved for session in self._sessions()):
            self._timer.start(RETRY_MS if self.problem else SAVE_MS)
        self.done.emit([session for session, _sentence in results])

    def _step_aside(self, session: LabelSession) -> None:
        """Leave a file to whoever changed it, and write to another one beside it."""
        old = session.path
        name = free_name(old.parent, re.sub(r" \d+$", "", old.stem), names_at_work(old.parent))
        session.keep_in(old.with_name(f"{name}.csv"))
        session.failure = None
        self.stepped_aside.emit(
            session,
            f"'{old.stem}' was changed outside of this window since it was read, and stays as it is now. "
            f"What you labelled here goes to '{name}'.",
        )


def rescue(session: LabelSession) -> None:
    """Write a copy of labels that cannot be saved into the user's own folder, and tell where it is."""
    from napari.utils.notifications import show_error

    if session.rescued_state is session.labels.state:
        return
    folder = rescue_root() / session.path.parent.name
    path = session.rescue_path or folder / f"{free_name(folder, session.path.stem, set())}.csv"
    sentence = _attempt(lambda: session.copy_to(path))
    cause = f"What was labelled in '{session.image.name}' is not saved: {session.failure}"
    if sentence is None:
        session.rescue_path, session.rescued_state = path, session.labels.state
        show_error(f"Labels are not saved, but a copy is in {path}\nThe Label dock offers it with this image. {cause}")
    else:
        show_error(
            "Labels are not saved, and a copy failed too. "
            f"Choose another project folder while they are still open. {cause} {sentence}"
        )


def _note(session: LabelSession, sentence: str | None) -> None:
    session.failure = sentence if session.unsaved else None
    if session.rescue_path is not None and not session.unsaved:
        # a copy that stays where the disk refuses is offered again, and does no harm
        with contextlib.suppress(StemlearnError):
            remove_set(session.rescue_path)
        session.rescue_path = None


def _attempt(job: Callable[[], None]) -> str | None:
    """Write, and give the sentence that says why that failed."""
    try:
        job()
    except Exception as error:
        return sentence_of(error)
    return None


def _attempt_all(jobs: list[Job]) -> list[tuple[LabelSession, str | None]]:
    return [(session, _attempt(job)) for session, job in jobs]

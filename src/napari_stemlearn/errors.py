"""The errors that carry one clear sentence for the person at the microscope."""

from __future__ import annotations


class StemlearnError(Exception):
    """Something that the user can put right; the message is one full sentence for them."""


class SettingsError(StemlearnError, ValueError):
    """A setting is out of range, unknown or of the wrong type."""


class MicrographError(StemlearnError, ValueError):
    """An image cannot be used as a micrograph (shape, values, pixel size)."""


class MissingPixelSizeError(MicrographError):
    """The pixel size of an image is not known, and is needed: it is never guessed."""


class SitesError(StemlearnError, ValueError):
    """A site table lacks columns, holds wrong values or does not fit its micrograph."""


class LabelsInTheWayError(SitesError):
    """A table or an image that is not as a search wrote it, or a table that is no score, would be replaced."""


class FormatError(StemlearnError, OSError):
    """A file cannot be read or written."""


class SeveralImagesError(FormatError):
    """A file holds several images, and which one is meant was not said."""


class ModelError(StemlearnError, ValueError):
    """A model is unknown, broken, or does not fit what is asked of it."""


class QueryError(StemlearnError, ValueError):
    """A query of a data set cannot be understood or names something that does not exist."""


class JobError(StemlearnError, RuntimeError):
    """A job cannot be started, resumed or read."""

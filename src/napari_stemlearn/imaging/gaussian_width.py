"""Widths of Gaussians; free of torch."""

from __future__ import annotations

import math

SIGMA_OF_FWHM = 1 / (2 * math.sqrt(2 * math.log(2)))
"""Standard deviation of a Gaussian of unit full width at half maximum."""

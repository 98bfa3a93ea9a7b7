"""Element symbols and atomic numbers up to 103, the range of tabulated scattering factors."""

from __future__ import annotations

_IN_ORDER = (
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb "
    "Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au "
    "Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr"
)

SYMBOLS = tuple(_IN_ORDER.split())
"""Symbols in the order of the atomic number, hydrogen first."""

NUMBERS = {symbol: number for number, symbol in enumerate(SYMBOLS, start=1)}
"""Atomic number of each symbol."""


def check_element(symbol: str) -> str:
    """Return the symbol, or refuse it.

    Raises
    ------
    ValueError
        If it is no element.
    """
    if symbol not in NUMBERS:
        raise ValueError(f"'{symbol}' is not the symbol of an element (H to Lr), such as W or Se")
    return symbol


def symbol_of(number: int) -> str:
    """Symbol of an atomic number."""
    return SYMBOLS[number - 1]

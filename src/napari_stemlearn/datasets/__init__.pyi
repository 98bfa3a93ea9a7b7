from .creation import create_data_set
from .settings import SimulateSettings
from .simulated import (
    simulate_data_set,
    simulate_one,
    write_data_set,
)
from .store import DataSet, open_data_set

__all__ = [
    "DataSet",
    "SimulateSettings",
    "create_data_set",
    "open_data_set",
    "simulate_data_set",
    "simulate_one",
    "write_data_set",
]

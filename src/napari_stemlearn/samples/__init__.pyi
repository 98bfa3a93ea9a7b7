from .day import SimulatedDay, simulated_day
from .public import (
    PublicSample,
    fetch,
    list_public,
    load_public,
    public_sample,
)

__all__ = ["PublicSample", "SimulatedDay", "fetch", "list_public", "load_public", "public_sample", "simulated_day"]

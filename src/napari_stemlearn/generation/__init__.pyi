from .generate import generate_data_set, write_generated_set
from .settings import GenerateSettings

__all__ = ["GenerateSettings", "generate_data_set", "write_generated_set"]

from . import interfaces as interfaces
from ._sequential import Sequential as Sequential, SequentialConfig as SequentialConfig

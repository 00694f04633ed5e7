from . import interfaces as interfaces

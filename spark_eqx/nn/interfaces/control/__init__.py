from .base import (
    ControlInterface as ControlInterface,
    ControlInterfaceConfig as ControlInterfaceConfig,
    ControlInterfaceOutput as ControlInterfaceOutput,
)
from .concat import (
    Concat as Concat,
    ConcatConfig as ConcatConfig,
    ConcatReshape as ConcatReshape,
    ConcatReshapeConfig as ConcatReshapeConfig,
)
from .sampler import Sampler as Sampler, SamplerConfig as SamplerConfig

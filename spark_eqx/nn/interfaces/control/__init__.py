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
from .on_off import OnMinusOff as OnMinusOff, OnOff as OnOff, OnOffConfig as OnOffConfig
from .receptive_fields import ReceptiveFields as ReceptiveFields, ReceptiveFieldsConfig as ReceptiveFieldsConfig
from .sampler import Sampler as Sampler, SamplerConfig as SamplerConfig
from .scale import Scale as Scale, ScaleConfig as ScaleConfig, Unscale as Unscale
from .trace import (
    SignalAccumulator as SignalAccumulator,
    SignalAccumulatorConfig as SignalAccumulatorConfig,
    SignalAverage as SignalAverage,
    SignalAverageConfig as SignalAverageConfig,
    SignalTrace as SignalTrace,
    SignalTraceConfig as SignalTraceConfig,
)

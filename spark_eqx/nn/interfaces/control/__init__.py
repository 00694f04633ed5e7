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
from .filter_bank import FilterBank as FilterBank, FilterBankConfig as FilterBankConfig
from .on_off import (
    OnMinusOff as OnMinusOff,
    OnMinusOffConfig as OnMinusOffConfig,
    OnOff as OnOff,
    OnOffConfig as OnOffConfig,
)
from .receptive_fields import ReceptiveFields as ReceptiveFields, ReceptiveFieldsConfig as ReceptiveFieldsConfig
from .sampler import Sampler as Sampler, SamplerConfig as SamplerConfig
from .scale import (
    Scale as Scale,
    ScaleConfig as ScaleConfig,
    Unscale as Unscale,
    UnscaleConfig as UnscaleConfig,
)
from .trace import (
    SignalAccumulator as SignalAccumulator,
    SignalAccumulatorConfig as SignalAccumulatorConfig,
    SignalAverage as SignalAverage,
    SignalAverageConfig as SignalAverageConfig,
    SignalTrace as SignalTrace,
    SignalTraceConfig as SignalTraceConfig,
)

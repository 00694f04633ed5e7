from ..records import kinds as kinds
from ..records.checks import (
    Check as Check,
    at_least_two as at_least_two,
    binary as binary,
    finite as finite,
    non_negative as non_negative,
    positive as positive,
)
from ..records.numbers import Number as Number, as_array as as_array, concrete as concrete, state_dtype as state_dtype
from ..records.record import Parameters as Parameters, parameter as parameter
from .config import SparkConfig as SparkConfig
from .exact import derived as derived
from .module import SparkModule as SparkModule
from .payloads import (
    FloatArray as FloatArray,
    SparkPayload as SparkPayload,
    SpikeArray as SpikeArray,
    SpikeTimes as SpikeTimes,
)
from .ports import Port as Port
from .running.compiled import run_at_once as run_at_once
from .specs import InputSpec as InputSpec

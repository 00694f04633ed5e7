from ._running import run_at_once as run_at_once
from .checks import (
    Check as Check,
    at_least_two as at_least_two,
    binary as binary,
    finite as finite,
    non_negative as non_negative,
    positive as positive,
)
from .config import SparkConfig as SparkConfig
from .module import SparkModule as SparkModule
from .numbers import (
    Number as Number,
    as_array as as_array,
    concrete as concrete,
    derived as derived,
    state_dtype as state_dtype,
)
from .parameters import Parameters as Parameters, parameter as parameter
from .payloads import FloatArray as FloatArray, SparkPayload as SparkPayload, SpikeArray as SpikeArray
from .ports import Port as Port
from .specs import InputSpec as InputSpec

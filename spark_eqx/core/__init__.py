from .config import SparkConfig as SparkConfig
from .module import Port as Port, SparkModule as SparkModule
from .payloads import FloatArray as FloatArray, SparkPayload as SparkPayload, SpikeArray as SpikeArray
from .specs import InputSpec as InputSpec

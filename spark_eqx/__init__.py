import importlib.metadata

from . import (
    core as core,
    fir as fir,
    measure as measure,
    nn as nn,
    plot as plot,
    raster as raster,
    surrogate as surrogate,
    times as times,
    tune as tune,
)
from ._unroll import unroll as unroll
from .core import (
    Check as Check,
    FloatArray as FloatArray,
    InputSpec as InputSpec,
    Port as Port,
    SparkConfig as SparkConfig,
    SparkModule as SparkModule,
    SparkPayload as SparkPayload,
    SpikeArray as SpikeArray,
    SpikeTimes as SpikeTimes,
    parameter as parameter,
)
from .nn import Sequential as Sequential


__version__ = importlib.metadata.version("spark-eqx")

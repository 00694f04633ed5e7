import importlib.metadata

from . import measure as measure, nn as nn, plot as plot, raster as raster, surrogate as surrogate
from .core import (
    FloatArray as FloatArray,
    InputSpec as InputSpec,
    SparkConfig as SparkConfig,
    SparkModule as SparkModule,
    SparkPayload as SparkPayload,
    SpikeArray as SpikeArray,
)
from .unroll import unroll as unroll


__version__ = importlib.metadata.version("spark-eqx")

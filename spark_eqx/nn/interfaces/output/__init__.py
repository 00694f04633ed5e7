from .base import (
    OutputInterface as OutputInterface,
    OutputInterfaceConfig as OutputInterfaceConfig,
    OutputInterfaceOutput as OutputInterfaceOutput,
)
from .burst import BurstDecoder as BurstDecoder, BurstDecoderConfig as BurstDecoderConfig
from .contrast import ContrastDecoder as ContrastDecoder, ContrastDecoderConfig as ContrastDecoderConfig
from .exponential import (
    ExponentialIntegrator as ExponentialIntegrator,
    ExponentialIntegratorConfig as ExponentialIntegratorConfig,
)
from .filter import FilterDecoder as FilterDecoder, FilterDecoderConfig as FilterDecoderConfig
from .latency import LatencyDecoder as LatencyDecoder, LatencyDecoderConfig as LatencyDecoderConfig
from .linear import LinearDecoder as LinearDecoder, LinearDecoderConfig as LinearDecoderConfig
from .phase import PhaseDecoder as PhaseDecoder, PhaseDecoderConfig as PhaseDecoderConfig
from .population import PopulationDecoder as PopulationDecoder, PopulationDecoderConfig as PopulationDecoderConfig
from .rank_order import RankOrderDecoder as RankOrderDecoder, RankOrderDecoderConfig as RankOrderDecoderConfig
from .rate import RateDecoder as RateDecoder, RateDecoderConfig as RateDecoderConfig
from .tanh import TanhIntegrator as TanhIntegrator, TanhIntegratorConfig as TanhIntegratorConfig
from .weighted_phase import (
    WeightedPhaseDecoder as WeightedPhaseDecoder,
    WeightedPhaseDecoderConfig as WeightedPhaseDecoderConfig,
)

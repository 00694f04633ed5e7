from .base import (
    InputInterface as InputInterface,
    InputInterfaceConfig as InputInterfaceConfig,
    InputInterfaceOutput as InputInterfaceOutput,
    RateSpiker as RateSpiker,
)
from .bens import BensSpiker as BensSpiker, BensSpikerConfig as BensSpikerConfig
from .burst import BurstSpiker as BurstSpiker, BurstSpikerConfig as BurstSpikerConfig
from .delta import DeltaSpiker as DeltaSpiker, DeltaSpikerConfig as DeltaSpikerConfig
from .hough import HoughSpiker as HoughSpiker, HoughSpikerConfig as HoughSpikerConfig
from .latency import LatencySpiker as LatencySpiker, LatencySpikerConfig as LatencySpikerConfig
from .linear import LinearSpiker as LinearSpiker, LinearSpikerConfig as LinearSpikerConfig
from .moving_window import (
    MovingWindowSpiker as MovingWindowSpiker,
    MovingWindowSpikerConfig as MovingWindowSpikerConfig,
)
from .phase import PhaseSpiker as PhaseSpiker, PhaseSpikerConfig as PhaseSpikerConfig
from .poisson import PoissonSpiker as PoissonSpiker, PoissonSpikerConfig as PoissonSpikerConfig
from .rank_order import RankOrderSpiker as RankOrderSpiker, RankOrderSpikerConfig as RankOrderSpikerConfig
from .regular import RegularSpiker as RegularSpiker, RegularSpikerConfig as RegularSpikerConfig
from .renewal import RenewalSpiker as RenewalSpiker, RenewalSpikerConfig as RenewalSpikerConfig
from .send_on_delta import SendOnDeltaSpiker as SendOnDeltaSpiker, SendOnDeltaSpikerConfig as SendOnDeltaSpikerConfig
from .step_forward import StepForwardSpiker as StepForwardSpiker, StepForwardSpikerConfig as StepForwardSpikerConfig
from .topological import (
    TopologicalLinearSpiker as TopologicalLinearSpiker,
    TopologicalLinearSpikerConfig as TopologicalLinearSpikerConfig,
    TopologicalPoissonSpiker as TopologicalPoissonSpiker,
    TopologicalPoissonSpikerConfig as TopologicalPoissonSpikerConfig,
    TopologicalSpikerConfig as TopologicalSpikerConfig,
)
from .weighted_phase import (
    WeightedPhaseSpiker as WeightedPhaseSpiker,
    WeightedPhaseSpikerConfig as WeightedPhaseSpikerConfig,
)

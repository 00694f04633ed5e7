from .base import (
    InputInterface as InputInterface,
    InputInterfaceConfig as InputInterfaceConfig,
    InputInterfaceOutput as InputInterfaceOutput,
    RateSpiker as RateSpiker,
)
from .linear import LinearSpiker as LinearSpiker, LinearSpikerConfig as LinearSpikerConfig
from .phase import PhaseSpiker as PhaseSpiker, PhaseSpikerConfig as PhaseSpikerConfig
from .poisson import PoissonSpiker as PoissonSpiker, PoissonSpikerConfig as PoissonSpikerConfig
from .topological import (
    TopologicalLinearSpiker as TopologicalLinearSpiker,
    TopologicalLinearSpikerConfig as TopologicalLinearSpikerConfig,
    TopologicalPoissonSpiker as TopologicalPoissonSpiker,
    TopologicalPoissonSpikerConfig as TopologicalPoissonSpikerConfig,
    TopologicalSpikerConfig as TopologicalSpikerConfig,
)

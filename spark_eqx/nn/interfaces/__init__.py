from .base import Interface as Interface, InterfaceConfig as InterfaceConfig
from .control import (
    Concat as Concat,
    ConcatConfig as ConcatConfig,
    ConcatReshape as ConcatReshape,
    ConcatReshapeConfig as ConcatReshapeConfig,
    ControlInterface as ControlInterface,
    ControlInterfaceConfig as ControlInterfaceConfig,
    ControlInterfaceOutput as ControlInterfaceOutput,
    Sampler as Sampler,
    SamplerConfig as SamplerConfig,
)
from .input import (
    InputInterface as InputInterface,
    InputInterfaceConfig as InputInterfaceConfig,
    InputInterfaceOutput as InputInterfaceOutput,
    LinearSpiker as LinearSpiker,
    LinearSpikerConfig as LinearSpikerConfig,
    PhaseSpiker as PhaseSpiker,
    PhaseSpikerConfig as PhaseSpikerConfig,
    PoissonSpiker as PoissonSpiker,
    PoissonSpikerConfig as PoissonSpikerConfig,
    RateSpiker as RateSpiker,
    TopologicalLinearSpiker as TopologicalLinearSpiker,
    TopologicalLinearSpikerConfig as TopologicalLinearSpikerConfig,
    TopologicalPoissonSpiker as TopologicalPoissonSpiker,
    TopologicalPoissonSpikerConfig as TopologicalPoissonSpikerConfig,
    TopologicalSpikerConfig as TopologicalSpikerConfig,
)
from .output import (
    ExponentialIntegrator as ExponentialIntegrator,
    ExponentialIntegratorConfig as ExponentialIntegratorConfig,
    OutputInterface as OutputInterface,
    OutputInterfaceConfig as OutputInterfaceConfig,
    OutputInterfaceOutput as OutputInterfaceOutput,
    PhaseDecoder as PhaseDecoder,
    PhaseDecoderConfig as PhaseDecoderConfig,
)

from .base import (
    OutputInterface as OutputInterface,
    OutputInterfaceConfig as OutputInterfaceConfig,
    OutputInterfaceOutput as OutputInterfaceOutput,
)
from .exponential import (
    ExponentialIntegrator as ExponentialIntegrator,
    ExponentialIntegratorConfig as ExponentialIntegratorConfig,
)
from .phase import PhaseDecoder as PhaseDecoder, PhaseDecoderConfig as PhaseDecoderConfig

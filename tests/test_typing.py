"""The types that pyright infers. It also reports ignored errors that do not occur."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from typing import assert_type

import pytest

from spark_eqx.nn.interfaces import (
    LinearSpiker,
    LinearSpikerConfig,
    PhaseDecoder,
    PhaseDecoderConfig,
    PoissonSpikerConfig,
)


def test_config_of_a_module():
    assert_type(LinearSpiker(tau=5.0).config, LinearSpikerConfig)
    assert_type(PhaseDecoder().config, PhaseDecoderConfig)


def test_config_of_another_module():
    with pytest.raises(TypeError, match="LinearSpikerConfig.*PoissonSpikerConfig"):
        LinearSpiker(PoissonSpikerConfig())  # pyright: ignore[reportArgumentType]

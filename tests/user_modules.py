"""Modules as a user would write them, with public names only."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Int

import spark_eqx as spark
from spark_eqx.core import as_array, derived, positive, state_dtype
from spark_eqx.nn.interfaces import InputInterface, InputInterfaceConfig
from spark_eqx.surrogate import AbstractSurrogate, ATan


class LatencyConfig(InputInterfaceConfig):
    window: int = spark.parameter(default=8, unit="steps", description="a spike in each, at most", check=positive)
    threshold: float = spark.parameter(default=1.0, description="of the summed signal", check=positive)
    noise: float = spark.parameter(default=0.1, description="largest change of the threshold", check=positive)


class LatencyState(eqx.Module):
    charge: Float[Array, "*units"]
    offset: Float[Array, "*units"]  # added to the threshold; drawn in each window
    age: Int[Array, ""]  # steps since the window began


class NoisyLatencySpiker(InputInterface[LatencyConfig, LatencyState]):
    """A stronger signal fires earlier in the window. The threshold is drawn in each window."""

    def build(self, input_specs, *, key=None):
        shape, dtype = self.signal_spec(input_specs)
        return LatencyState(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype), jnp.zeros((), jnp.int32))

    def step(self, payload, state, *, key):
        key = self.need_key(key, "a change of the threshold is drawn")
        shape, dtype = state.charge.shape, state.charge.dtype
        charge = state.charge + self.excitation(payload)
        threshold = as_array(self.config.threshold, dtype, shape) + state.offset
        fired = (charge > threshold) & (state.charge <= threshold)
        over = state.age + 1 == self.config.window
        drawn = as_array(self.config.noise, dtype, shape) * jr.uniform(key, shape, jnp.float32).astype(dtype)
        state = LatencyState(
            charge=jnp.where(over, 0, charge),
            offset=jnp.where(over, drawn, state.offset),
            age=jnp.where(over, 0, state.age + 1),
        )
        return self.output(fired, charge - threshold, payload), state


class Distance(AbstractSurrogate):
    """A surrogate whose derivative is its argument."""

    def relaxation(self, v):
        return v * v / 2


class LIFConfig(spark.SparkConfig):
    weights: Float[Array, "outputs inputs"] = spark.parameter(description="of the inputs")
    tau: float = spark.parameter(default=5.0, unit="steps", description="time constant", check=positive)
    surrogate: AbstractSurrogate = spark.parameter(default=ATan(), description="derivative of the spike")


class LIFState(eqx.Module):
    potential: Float[Array, " outputs"]


class LIF(spark.SparkModule[LIFConfig, LIFState]):
    """Leaky integrate-and-fire units: spikes in, spikes out."""

    port: ClassVar[spark.Port] = spark.Port("spikes", spark.SpikeArray)

    def build(self, input_specs, *, key=None):
        spec, inputs = self.spec(input_specs), self.config.weights.shape[1]
        if spec.shape != (inputs,):
            raise ValueError(f"LIF: `weights` take {inputs} inputs, port 'spikes' brings {spec}.")
        return LIFState(jnp.zeros(self.config.weights.shape[0], state_dtype(spec.dtype)))

    def step(self, payload, state, *, key):
        dtype = state.potential.dtype
        decay = derived(lambda np, tau: np.exp(-1 / tau), self.config.tau, dtype=dtype, shape=state.potential.shape)
        weights = self.config.weights.astype(dtype)
        v = decay * state.potential + (weights * payload.value.astype(dtype)[None]).sum(1)
        spikes = self.config.surrogate(v - 1)
        return {"spikes": spark.SpikeArray(spikes)}, LIFState(v * (1 - spikes))

"""NumPy."""

import numpy as np

from ._registry import contestant
from ._with_numpy import floor


BOTH = {"dtypes": ("float32", "bool"), "memory": ("fresh", "reused")}


contestant("poisson", "a + 1", role="floor", **BOTH)(floor)
contestant("linear", "a + 1", role="floor", **BOTH)(floor)
contestant("gradient", "a + 1", role="floor")(floor)
contestant("unpack", "a + 1", role="floor", dtypes=("bool",), memory=("fresh", "reused"))(floor)


@contestant("poisson", "Generator.random < p", **BOTH)
def uniform(case, data, dtype, memory):
    """`u < p` with a float32 uniform `u` for each unit and step; `p` is computed in advance."""
    rng, p = np.random.default_rng(0), 0.1 * data["signal"]
    if memory == "fresh":
        if dtype == "bool":
            return lambda: rng.random(case.shape, np.float32) < p
        return lambda: (rng.random(case.shape, np.float32) < p).astype(np.float32)
    drawn = np.zeros(case.shape, np.float32)
    out = drawn if dtype == "float32" else np.zeros(case.shape, bool)

    def run():
        rng.random(dtype=np.float32, out=drawn)
        return np.less(drawn, p, out=out)

    return run


@contestant("poisson", "16-bit integers < threshold", dtypes=("float32", "bool"))
def integers(case, data, dtype, memory):
    """`k < 65536 p` with 16 random bits `k` per unit and step; the threshold, and with it `p` to 2^-16, is given."""
    rng, threshold = np.random.default_rng(0), (0.1 * data["signal"] * 65536).astype(np.uint16)

    def run():
        spikes = rng.integers(0, 65536, case.shape, np.uint16) < threshold
        return spikes if dtype == "bool" else spikes.astype(np.float32)

    return run


def smoothed(sums, readout):
    """Two exponential moving averages, `y <- y + k (z - y)`, over the first axis."""
    k = np.float32(readout.gain)
    first, second = np.zeros_like(sums[0]), np.zeros_like(sums[0])
    out = np.empty_like(sums)
    for t in range(len(sums)):
        first += k * (sums[t] - first)
        second += k * (first - second)
        out[t] = second
    return out


@contestant("integrator", "matmul with a one-hot matrix, loop", dtypes=("float32", "bool"))
def matmul(case, data, dtype, memory):
    """Group sums as `spikes @ one_hot / (n f dt)`, then the two moving averages step by step."""
    spikes, scale = data["spikes"].astype(dtype), _scale(case)
    groups = data["groups"] if case.readout.order == "shuffled" else np.sort(data["groups"])
    one_hot = (groups[:, None] == np.arange(case.readout.outputs)).astype(np.float32) * scale
    return lambda: smoothed(spikes.astype(np.float32, copy=False) @ one_hot, case.readout)


@contestant("integrator", "add.reduceat, loop", dtypes=("float32", "bool"))
def reduceat(case, data, dtype, memory):
    """Group sums by `np.add.reduceat` over units in the order of their groups, then the two moving averages."""
    spikes, scale = data["spikes"].astype(dtype), _scale(case)
    starts = np.concatenate([[0], np.cumsum(case.readout.sizes(case.units))[:-1]])
    order = np.argsort(data["groups"], kind="stable") if case.readout.order == "shuffled" else None

    def run():
        sorted_spikes = spikes if order is None else spikes[..., order]
        return smoothed(np.add.reduceat(sorted_spikes, starts, axis=-1, dtype=np.float32) * scale, case.readout)

    return run


def _scale(case):
    readout = case.readout
    return (1000 / (readout.sizes(case.units) * readout.saturation_freq * readout.dt)).astype(np.float32)


@contestant("step", "NumPy, the same formula")
def step(case, data, dtype, memory):
    """One step of a leaky integrator whose threshold crossing is solved within the step.

    Let `a` be the part of the step outside the refractory period [ms]. If `V + (g x - V) (1 - e^(-a/tau)) > 1`, the
    unit fires at `tau ln((g x - V) / (g x - 1))`. In the rest of the step after the spike and `cd`, it charges again.
    """
    lif, f = case.lif, np.float32
    dt, tau, cd, gain = f(lif.dt), f(lif.tau), f(lif.cd), f(lif.gain)
    zero, one = f(0), f(1)
    signals = list(data["signal"])
    kept = [np.zeros(case.units, f), np.zeros(case.units, f), 0]

    def run():
        potential, refractory, t = kept
        x = np.minimum(np.maximum(signals[t % len(signals)], zero), one)
        drive = gain * x - one
        gap = one - potential
        active = np.maximum(dt - refractory, zero)
        potential = potential - (drive + gap) * np.expm1(-active / tau)
        fired = (potential > one) & (drive > zero)
        crossing = tau * np.log1p(gap / np.where(fired, drive, one))
        left = active - crossing - cd
        recharged = -(drive + one) * np.expm1(-np.maximum(left, zero) / tau)
        kept[0] = np.where(fired, recharged, potential)
        kept[1] = np.where(fired, np.maximum(-left, zero), np.maximum(refractory - dt, zero))
        kept[2] = t + 1
        return fired.astype(f)

    return run


@contestant("pack", "packbits(axis=0)", dtypes=("packed",))
def pack_time(case, data, dtype, memory):
    """Pack eight steps of one unit into a byte, along time."""
    spikes = data["spikes"]
    return lambda: np.packbits(spikes, axis=0)


@contestant("pack", "packbits(axis=-1)", dtypes=("packed",))
def pack_units(case, data, dtype, memory):
    """Pack eight units of one step into a byte, along units, which are contiguous."""
    spikes = data["spikes"]
    return lambda: np.packbits(spikes, axis=-1)


@contestant("unpack", "unpackbits(axis=0)", dtypes=("bool",))
def unpack_time(case, data, dtype, memory):
    """The inverse of `packbits(axis=0)`."""
    packed = np.packbits(data["spikes"], axis=0)
    return lambda: np.unpackbits(packed, axis=0, count=case.steps)


@contestant("unpack", "unpackbits(axis=-1)", dtypes=("bool",))
def unpack_units(case, data, dtype, memory):
    """The inverse of `packbits(axis=-1)`."""
    packed = np.packbits(data["spikes"], axis=-1)
    return lambda: np.unpackbits(packed, axis=-1, count=case.units)

"""Masked arrays of NumPy: masked entries are refused, and an array without masked entries is a plain array."""

import re

import jax.numpy as jnp
import jax.random as jr
import nir
import numpy as np
import pytest

import spark_eqx as spark
from spark_eqx import FloatArray, SpikeArray, measure, plot, raster, tune
from spark_eqx.nn.interfaces import DeltaSpiker, ExponentialIntegrator, LinearDecoder, LinearSpiker, PoissonSpiker

from .helpers import assert_equal, every, with_sweep


STEPS, UNITS = 8, 2
SIGNAL = np.linspace(0, 1, STEPS * UNITS, dtype=np.float32).reshape(STEPS, UNITS) ** 2
SPIKES = SIGNAL > 0.3
linear, integrator = LinearSpiker(), ExponentialIntegrator(num_outputs=1, shuffle=False)


def masked(array, entry=(3, 1)):
    mask = np.zeros(array.shape, bool)
    mask[entry] = True
    return np.ma.array(array, mask=mask)


def search(signals, grid=None):
    encoder = DeltaSpiker(threshold=0.1, start=0.0)
    return tune.search(encoder, signals, grid or {"threshold": [0.05, 0.1]}, longest_delay=0.0)


def unrolled(module, name):
    return lambda x: module.unroll(x, module.init(jnp.zeros(UNITS)), steps=None)[0][name].value


# A function of an array, the array, the class or function and the argument in the error, and the suggested fill value.
SIGNALS = {
    "FloatArray": (lambda x: FloatArray(x).value, "FloatArray", "value"),
    "unroll": (unrolled(linear, "spikes"), "LinearSpiker", "signal"),
    "step": (lambda x: linear(x, linear.init(jnp.zeros(x.shape)))[0], "LinearSpiker", "signal"),
    "rate": (PoissonSpiker().rate, "PoissonSpiker.rate", "signal"),
    "rmse": (lambda x: measure.rmse(x, SIGNAL), "rmse", "signal"),
    "snr": (lambda x: measure.snr(SIGNAL, x), "snr", "reconstruction"),
    "tune.search": (lambda x: search(x).table["score"], "search", "signals"),
    "plot.traces": (lambda x: plot.traces(x).lines[0].get_ydata(), "traces", "decoded"),
    "plot.round_trip": (
        lambda x: plot.round_trip(x, linear)[0].lines[0].get_ydata(),
        "round_trip",
        "signal",
    ),
}
RASTERS = {
    "SpikeArray": (lambda s: SpikeArray(s).value, "SpikeArray", "spikes"),
    "inhibition_mask": (lambda s: SpikeArray(SPIKES, s != 0).value, "SpikeArray", "inhibition_mask"),
    "unroll": (unrolled(integrator, "signal"), "ExponentialIntegrator", "spikes"),
    "LinearDecoder.fit": (lambda s: LinearDecoder.fit(s, SIGNAL).config.weights, "LinearDecoder.fit", "spikes"),
    "plot.raster": (lambda s: plot.raster(s).lines[0].get_xdata(), "raster", "spikes"),
    "pack": (raster.pack, "pack", "raster"),
    "to_events": (raster.to_events, "to_events", "raster"),
    **{
        name: (getattr(measure, name), name, "spikes")
        for name in ("count", "rate", "sparsity", "intervals", "cv", "cv2", "lv")
    },
    "fano": (lambda s: measure.fano(s, 4.0), "fano", "spikes"),
    "van_rossum": (lambda s: measure.van_rossum(SPIKES, s, 5.0), "van_rossum", "others"),
    "victor_purpura": (lambda s: measure.victor_purpura(s, SPIKES, 5.0), "victor_purpura", "spikes"),
}
# If neither NaN nor 0 is meaningful, the error does not suggest a value.
OTHERS = {
    "DeltaSpiker.fit": (
        lambda x: np.asarray(DeltaSpiker.fit(x, 0.1).config.threshold),
        SIGNAL,
        "DeltaSpiker.fit",
        "signals",
    ),
    "target": (lambda x: LinearDecoder.fit(SPIKES, x).config.weights, SIGNAL, "LinearDecoder.fit", "target"),
    "number": (lambda x: np.asarray(LinearSpiker(tau=x).config.tau), SIGNAL + 1, "LinearSpikerConfig", "tau"),
    "array": (lambda x: LinearDecoder(weights=x).config.weights, SIGNAL, "LinearDecoderConfig", "weights"),
    "integers": (
        lambda x: np.asarray(ExponentialIntegrator(num_outputs=2, output_map=x).config.output_map),
        SPIKES.astype(int),
        "ExponentialIntegratorConfig",
        "output_map",
    ),
    "surrogate": (lambda x: np.asarray(spark.surrogate.ATan(slope=x).slope), SIGNAL + 1, "ATan", "slope"),
}
TIMES, INDICES = np.array([[0.0, 0.001, 0.003]]), np.array([[0, 1, 0]])
EVENTS = np.array([(0, 0), (1, 1000)], [("x", np.int16), ("t", np.int64)])
# A masked event must be removed from the times and the units together.
READERS = {
    "from_events, times": (lambda t: raster.from_events(t, INDICES[0], (8, 2)), 1000 * TIMES[0], "times"),
    "from_events, units": (lambda u: raster.from_events(1000 * TIMES[0], u, (8, 2)), INDICES[0], "units"),
    "from_nir, times": (lambda t: raster.from_nir(nir.EventData(INDICES, t, 2, 0.008), 1.0), TIMES, "time"),
    "from_nir, units": (lambda u: raster.from_nir(nir.EventData(u, TIMES, 2, 0.008), 1.0), INDICES, "idx"),
    "from_tonic": (lambda e: raster.from_tonic(e, (2, 1, 1)), EVENTS, "x"),
}
CASES = {
    **{f"{name}, signal": (call, SIGNAL, owner, arg, "numpy.nan") for name, (call, owner, arg) in SIGNALS.items()},
    **{
        f"{name}, {dtype}": (call, SPIKES.astype(dtype), owner, arg, "False" if dtype == "bool" else "0")
        for name, (call, owner, arg) in RASTERS.items()
        for dtype in (("bool", "float32") if name in ("SpikeArray", "pack", "rate") else ("bool",))
    },
    **{name: (*case, "value") for name, case in OTHERS.items()},
    "unpack": (lambda words: raster.unpack(words, 3), np.arange(2, dtype=np.uint32)[None], "unpack", "words", "0"),
    "from_nir, grid": (
        lambda grid: raster.from_nir(nir.TimeGriddedData(grid, 0.001)),
        SPIKES[None],
        "from_nir",
        "data",
        "False",
    ),
}
CASES["inhibition_mask, bool"] = (*CASES["inhibition_mask, bool"][:4], "False")


@pytest.fixture(autouse=True)
def figure():
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


@pytest.mark.parametrize("name", CASES)
def test_masked_entries_are_rejected_with_a_remedy(name):
    call, array, owner, argument, fill = CASES[name]
    text = f"{owner}: `{argument}` must be an array without masked entries, got one of shape {array.shape}, dtype "
    with pytest.raises(ValueError, match=f"^{re.escape(text)}.*1 masked.*{re.escape(f'`{argument}.filled({fill})`')}"):
        call(masked(array, np.unravel_index(1, array.shape)))


@pytest.mark.parametrize("name", with_sweep(*CASES))
def test_masked_array_without_masked_entries_is_a_plain_array(name):
    call, array, *_ = CASES[name]
    expected = call(array)
    for mask in (np.ma.nomask, np.zeros(array.shape, bool)):
        assert_equal(call(np.ma.array(array, mask=mask)), expected)


@pytest.mark.parametrize("name", READERS)
def test_readers_of_events_reject_masked_events(name):
    call, array, argument = READERS[name]
    reader = name.split(",")[0]
    text = rf"^{reader}: `{argument}` must be an array without masked entries.*1 masked. Remove the masked events"
    with pytest.raises(ValueError, match=text):
        call(masked(array, (..., 1)))
    assert_equal(call(np.ma.array(array)), call(array))


@every(lambda row: not row.many and not row.ports)
def test_every_port_rejects_masked_entries(row):
    module, payload = row.make(), row.payload(jr.key(0))
    value = np.asarray(payload.value)
    with pytest.raises(
        ValueError, match=f"{type(module).__name__}: `{module.port.name}` must be an array without masked"
    ):
        module.init(np.ma.array(value, mask=True))


@pytest.mark.parametrize(
    "values", [masked(np.array([0.05, 0.1, 0.2]), 1), [np.array([0.1, 0.1]), masked(np.ones(2), 0)]]
)
def test_masked_values_of_a_grid_are_rejected(values):
    with pytest.raises(ValueError, match=r"search: `grid\['threshold'\]` must be an array without masked entries"):
        search(SIGNAL, {"threshold": values})

"""The measurements of a code at its best setting."""

import functools
import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

import spark_eqx as spark
from spark_eqx import tune

from .grids import Search


CAPS = 50.0, 100.0, 200.0  # upper limits on the firing rate of each signal [spikes/s]
LONGEST_DELAY = 250.0  # ms
KEY = jr.key(0)
BATCH = 256  # the number of signals in a timed call


class Best(NamedTuple):
    """The best setting within a limit on spikes per second."""

    snr: float  # dB
    spikes_per_s: float
    efficiency: float  # share of the steps without a spike
    delay: float  # ms
    lossy: float  # dB, with 5 % of the spikes dropped
    jittered: float  # dB, with each spike moved by a normally distributed time (standard deviation 1 ms)
    cost: float  # ns per time step of a signal, encoding and decoding
    setting: str


def static_score(signal: Any, decoded: Any) -> Any:
    """The score of held values [dB]: their variance divided by the mean squared error in the last step."""
    return 10 * jnp.log10(jnp.var(signal[-1]) / jnp.mean(jnp.square(signal[-1] - decoded[-1])))


def search_all(searches: list[Search], signal: np.ndarray, static: bool) -> list[tuple[Search, tune.SearchResult]]:
    found = []
    for search in searches:
        if static:
            found.append((search, _search_static(search, signal)))
        else:
            encoder, how = search.encoder(float(signal[0, 0])), {"longest_delay": LONGEST_DELAY, "key": KEY}
            found.append((search, tune.search(encoder, signal, search.grid, decoder=search.decoder, **how)))
    return found


def _search_static(search: Search, signal: np.ndarray) -> tune.SearchResult:
    """Score one setting after another. `tune.search` leaves out constant channels and scores each channel alone."""
    base = search.encoder(float(signal[0, 0]))
    values = jnp.asarray(signal)
    settings = list(itertools.product(*search.grid.values()))
    rows = []
    for setting in settings:
        # Numbers that set no shape are JAX arrays, so that a new value does not trigger a recompilation.
        fields = {
            name: jnp.float32(value) if name in ("max_freq", "tau", "sigma") else _plain(value)
            for name, value in zip(search.grid, setting, strict=True)
        }
        encoder = type(base)(base.config, **fields)
        decoder = encoder.decoder() if search.decoder is None else search.decoder(encoder)
        spikes = _encoded(encoder, values)
        rate = float(jnp.mean(spikes.spikes != 0) * np.prod(spikes.shape[1:]) / signal.shape[1] * 1000)
        rows.append((float(static_score(values, _decoded(decoder, spikes))), rate, 0.0))
    table = dict(zip(search.grid, map(np.asarray, zip(*settings, strict=True)), strict=True))
    table |= dict(zip(("score", "spikes_per_s", "delay"), np.transpose(rows), strict=True))
    return tune.SearchResult(None, int(np.nanargmax(table["score"])), table)


def frontier(found: list[tuple[Search, tune.SearchResult]]) -> tuple[list[float], list[float]]:
    """The spikes per second at which the best score rises, and the best score up to each of these rates."""
    rate = np.concatenate([result.table["spikes_per_s"] for _, result in found])
    score = np.concatenate([result.table["score"] for _, result in found])
    order = np.argsort(rate, kind="stable")
    rate, edge = rate[order], np.fmax.accumulate(score[order])
    rises = np.flatnonzero(np.diff(edge, prepend=-np.inf) > 0)
    return rate[rises].tolist(), edge[rises].tolist()


def best(found: list[tuple[Search, tune.SearchResult]], signal: np.ndarray, cap: float, static: bool) -> Best | None:
    """The best setting within the limit; `None` if every setting has more spikes."""
    chosen = None
    for search, result in found:
        table = result.table
        allowed = np.where(table["spikes_per_s"] <= cap, table["score"], np.nan)
        if not np.isnan(allowed).all():
            i = int(np.nanargmax(allowed))
            if chosen is None or table["score"][i] > chosen[0]:
                chosen = float(table["score"][i]), search, table, i
    if chosen is None:
        return None
    score, search, table, i = chosen
    fields = {name: table[name][i] for name in search.grid}
    base = search.encoder(float(signal[0, 0]))
    encoder = type(base)(base.config, **{name: _plain(value) for name, value in fields.items()})
    decoder = encoder.decoder() if search.decoder is None else search.decoder(encoder)
    lag = int(table["delay"][i])
    lossy, jittered = (_disturbed(encoder, decoder, signal, lag, static, disturb) for disturb in (_lossy, _jittered))
    rate = float(table["spikes_per_s"][i])
    cost = _cost(encoder, decoder, signal)
    return Best(score, rate, 1 - rate / 1000, float(lag), lossy, jittered, cost, _described(fields, decoder, search))


def _plain(value: Any) -> Any:
    return tuple(np.asarray(value).tolist()) if np.ndim(value) else np.asarray(value).item()


def _described(fields: dict[str, Any], decoder: Any, search: Search) -> str:
    show = lambda value: (
        f"{np.size(value)} taps" if np.ndim(value) else f"{value:.0f}" if value >= 1000 else f"{value:.3g}"
    )
    parts = [f"{name} {show(value)}" for name, value in fields.items()]
    return ", ".join(parts + ([f"decoded over {decoder.config.window:g} ms"] if search.decoder is not None else []))


Disturbance = Callable[[spark.SpikeArray, Any], spark.SpikeArray]  # a function of a raster and a key


def _lossy(spikes: spark.SpikeArray, key: Any) -> spark.SpikeArray:
    """Drop each spike with a probability of 5 %."""
    kept = jr.bernoulli(key, 0.95, spikes.shape)
    return spark.SpikeArray(jnp.where(kept, spikes.spikes, 0), spikes.inhibition_mask)


def _jittered(spikes: spark.SpikeArray, key: Any) -> spark.SpikeArray:
    """Move each spike by a normally distributed time with a standard deviation of 1 ms.

    Spikes of one sign that land in one step become one spike.
    """
    steps = len(spikes.spikes)
    moved = jnp.round(jr.normal(key, spikes.shape)).astype(jnp.int32)
    to = jnp.clip(jnp.arange(steps).reshape(-1, *(1 for _ in spikes.shape[1:])) + moved, 0, steps - 1)
    # Entries without a spike are moved past the last step, where `mode="drop"` ignores them.
    to = jnp.where(spikes.spikes != 0, to, steps)
    signs = jnp.sign(spikes.value)
    value = jnp.zeros_like(signs).at[(to, *jnp.indices(spikes.shape)[1:])].add(signs, mode="drop")
    value = jnp.clip(value, -1, 1)
    return spark.SpikeArray(jnp.abs(value), None if spikes.inhibition_mask is None else value < 0)


def _undisturbed(spikes: spark.SpikeArray, key: Any) -> spark.SpikeArray:
    del key
    return spikes


@eqx.filter_jit
def _encoded(encoder: Any, signal: Any) -> spark.SpikeArray:
    state = encoder.init(signal[0], key=jr.fold_in(KEY, 0))
    return encoder.unroll(signal, state, key=jr.fold_in(KEY, 1))[0]["spikes"]


@eqx.filter_jit
def _decoded(decoder: Any, spikes: spark.SpikeArray) -> Any:
    first = jax.tree.map(lambda x: x[0], spikes)
    return decoder.unroll(spikes, decoder.init(first), key=KEY)[0]["signal"].value


@eqx.filter_jit
def _round_trip(encoder: Any, decoder: Any, signal: Any, disturb: Disturbance, key: Any) -> Any:
    return _decoded(decoder, disturb(_encoded(encoder, signal), key))


def _disturbed(encoder: Any, decoder: Any, signal: np.ndarray, lag: int, static: bool, disturb: Disturbance) -> float:
    """The mean score over five disturbances with different keys."""
    scores = []
    for seed in range(5):
        decoded = _round_trip(encoder, decoder, jnp.asarray(signal), disturb, jr.key(seed))
        if static:
            scores.append(float(static_score(jnp.asarray(signal), decoded)))
        else:
            kept = len(signal) - int(LONGEST_DELAY)
            scores.append(float(tune.snr_without_mean(jnp.asarray(signal[:kept]), decoded[lag : lag + kept])))
    return statistics.mean(scores)


@eqx.filter_jit
def _encode_and_decode(encoder: Any, decoder: Any, signal: Any) -> Any:
    return jax.vmap(lambda x: _round_trip(encoder, decoder, x, _undisturbed, KEY), in_axes=1)(signal)


def _cost(encoder: Any, decoder: Any, signal: np.ndarray) -> float:
    many = jnp.asarray(np.repeat(signal[:, :1, None], BATCH, axis=1))
    run = functools.partial(_encode_and_decode, encoder, decoder, many)
    jax.block_until_ready(run())
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        jax.block_until_ready(run())
        seconds.append(time.perf_counter() - start)
    return 1e9 * statistics.median(seconds) / many.size

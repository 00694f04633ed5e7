"""The comparison of all codes as the input of classifiers: `python benchmarks/classification.py`.

It needs this library, `.[examples]` and the data sets, which `python benchmarks/setup_peers.py data` installs. For each
data set, `tune.compare` chooses the setting of each code on the training examples, within the limit on spikes. The
spikes of all examples then go to a ridge classifier and to a spiking network, each with five seeds.

The results are written to `benchmarks/results/classification.json` after each code, and a run that is stopped continues
from there. The page `docs/codes.md` and its figure are written at the end.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from comparison import claims, classes_page, command, datasets, network
from comparison.classes_page import RAW
from jaxtyping import Array, Float, Int, Shaped
from sklearn.linear_model import RidgeClassifierCV
from tqdm import tqdm

from spark_eqx import Sequential, tune
from spark_eqx.tune._comparison import described
from spark_eqx.tune._ridge import PENALTIES, counts_in_bins, spread


Encode = Callable[[Float[Array, "examples steps channels"], Array], Int[Array, "seeds examples steps lines"]]
RESULTS = Path(__file__).parent / "results" / "classification.json"
LIMIT = 200.0  # upper limit on the firing rate of each channel [spikes/s]
SEEDS = 5
TUNED = 300  # training examples on which settings are chosen
BINS = 20  # parts of the time in which the ridge classifier counts spikes
NOISE = 0.3  # standard deviation of the noise on the disturbed test examples, as a share of that of each channel
LOST = 0.2  # share of the test spikes that are lost
EXTRA = 0.02  # probability of a spurious spike in each step without a spike
CHOICES = {
    "limit": LIMIT,
    "seeds": SEEDS,
    "tuned": TUNED,
    "bins": BINS,
    "noise": NOISE,
    "lost": LOST,
    "extra": EXTRA,
    "steps": datasets.STEPS,
    "held": datasets.HELD,
    "neurons": network.NEURONS,
    "updates": network.UPDATES,
}


def main() -> None:
    description = "Compare all codes as the input of the same classifiers."
    arguments = command.parsed(description, "two data sets and a few codes")
    if arguments.page_only:
        classes_page.write(json.loads(RESULTS.read_text()))
        claims.write()
        return
    results = command.stored(RESULTS, arguments, {"choices": CHOICES, "data": {}, "minutes": 0.0})
    if results["choices"] != CHOICES:
        sys.exit(f"{RESULTS} was measured with other choices. Start anew with --again.")
    names, codes, updates = datasets.NAMES, [RAW, *classes_page.NAMES], network.UPDATES
    if arguments.quick:
        names, codes, updates = ("GunPoint", "BasicMotions"), [RAW, "poisson", "latency", "step forward"], 120
    with tqdm(total=len(names) * len(codes), unit="code", disable=None) as bar:
        for name in names:
            data = datasets.load(name)
            found = results["data"].setdefault(name, _described(data) | {"codes": {}})
            for code in codes:
                bar.set_postfix_str(f"{name}, {code}")
                if code not in found["codes"]:
                    started = time.perf_counter()
                    found["codes"][code] = _raw(data, updates) if code == RAW else _measured(code, data, updates)
                    results["minutes"] += (time.perf_counter() - started) / 60
                    if not arguments.quick:
                        command.store(RESULTS, results)
                bar.update(1)
    if not arguments.quick:
        classes_page.write(results)
        claims.write()
    print(classes_page.table(results))


def _described(data: datasets.DataSet) -> dict:
    return {
        "train": len(data.train),
        "test": len(data.test),
        "steps": data.train.shape[1],
        "channels": data.train.shape[2],
        "classes": int(data.train_classes.max()) + 1,
    }


def _measured(code: str, data: datasets.DataSet, updates: int) -> dict:
    """The accuracy of both classifiers with one code, at the setting that `tune.compare` chooses."""
    few = spread(data.train_classes, TUNED)
    result = tune.compare(
        data.train[few],
        labels=data.train_classes[few],
        most_spikes=LIMIT,
        bins=BINS,
        codes=[code],
        effort="quick",
        key=jr.key(0),
    )[code]
    if result.reason:
        return {"reason": result.reason}
    chain = result.encoder
    scale = chain[0].config
    lowest, highest = np.asarray(scale.mins), np.asarray(scale.maxs)
    known = lambda x: np.clip(x, lowest, highest)
    train, test = jnp.asarray(known(data.train)), jnp.asarray(known(data.test))
    noisy = jnp.asarray(known(data.test + _noise(data)), jnp.float32)
    encode = _encoder(chain)
    spikes = encode(test, jr.key(1))
    signed = bool((spikes < 0).any())
    keys = jr.split(jr.key(2), 3)
    signs = jr.rademacher(keys[2], spikes.shape, spikes.dtype) if signed else 1
    extra = jnp.where((spikes == 0) & jr.bernoulli(keys[1], EXTRA, spikes.shape), signs, spikes)
    lost = spikes * jr.bernoulli(keys[0], 1 - LOST, spikes.shape)
    tested = {"": spikes, "_noisy": encode(noisy, jr.key(1)), "_lost": lost, "_extra": extra}
    found = {
        "setting": described(result),
        "quick": result.accuracy,
        "quick_error": result.squared_error,
        "snr": result.snr,
        "spikes": float((spikes != 0).sum((2, 3)).mean()),
        "ridge": _ridge(np.asarray(encode(train, jr.key(3))), np.asarray(spikes), data),
    }
    lines = lambda x: jnp.concatenate([x > 0, x < 0], -1) if signed else x > 0
    draw = lambda call: lines(encode(train, jr.fold_in(jr.key(4), call)))
    return found | _network(draw, {name: lines(x) for name, x in tested.items()}, data, updates)


def _raw(data: datasets.DataSet, updates: int) -> dict:
    """The accuracy of both classifiers with the samples themselves, scaled from 0 to 1."""
    lowest, highest = data.train.min((0, 1)), data.train.max((0, 1))
    size = np.where(highest > lowest, highest - lowest, 1)
    scaled = lambda x: np.clip((x - lowest) / size, 0, 1)
    repeated = lambda x: jnp.broadcast_to(jnp.asarray(x, jnp.float32), (SEEDS, *x.shape))
    flat = lambda x: scaled(x).reshape(len(x), -1).astype(float)
    ridge = _accuracy_of_ridge(flat(data.train), flat(data.test), data)
    train = repeated(scaled(data.train))
    tested = {"": repeated(scaled(data.test)), "_noisy": repeated(scaled(data.test + _noise(data)))}
    return {"ridge": [ridge] * SEEDS} | _network(lambda _: train, tested, data, updates)


def _noise(data: datasets.DataSet) -> np.ndarray:
    return NOISE * data.train.std((0, 1)) * np.random.default_rng(0).normal(size=data.test.shape)


def _encoder(chain: Sequential) -> Encode:
    """A function that draws the signed spikes of all examples once per seed."""

    @jax.jit
    def encode(signals: Array, keys: Array) -> Array:
        def one(x: Array, key: Array) -> Array:
            spikes = chain.unroll(x, chain.init(x[0], key=key), key=key)[0]["spikes"].value
            return spikes.reshape(len(x), -1).astype(jnp.int8)

        return jax.lax.map(lambda keys: jax.vmap(one)(signals, keys), keys)

    return lambda signals, key: encode(signals, jr.split(key, (SEEDS, len(signals))))


def _ridge(train: np.ndarray, test: np.ndarray, data: datasets.DataSet) -> list[float]:
    """The accuracy of the ridge classifier, by seed. All draws of a code without random numbers are the same."""
    found: list[float] = []
    for draw, other in zip(train, test, strict=True):
        if found and (draw == train[0]).all() and (other == test[0]).all():
            found.append(found[0])
            continue
        features = counts_in_bins(np.concatenate([draw, other]), BINS)
        found.append(_accuracy_of_ridge(features[: len(draw)], features[len(draw) :], data))
    return found


def _accuracy_of_ridge(train: np.ndarray, test: np.ndarray, data: datasets.DataSet) -> float:
    size = np.sum((train - train.mean(0)) ** 2) / len(train)
    model = RidgeClassifierCV(alphas=PENALTIES * max(size, 1e-30)).fit(train, data.train_classes)
    return float(np.mean(model.predict(test) == data.test_classes))


def _network(
    draw: Callable[[int], Shaped[Array, "seeds examples steps lines"]],
    tested: dict[str, Shaped[Array, "seeds examples steps lines"]],
    data: datasets.DataSet,
    updates: int,
) -> dict:
    """The accuracy of the network by seed, for each kind of test input."""
    inputs = draw(0)
    classes = int(data.train_classes.max()) + 1
    networks = network.Networks(jr.key(5), SEEDS, inputs.shape[-1], classes, float(inputs.mean()))
    for call in range(network.CALLS):
        networks.train(jr.fold_in(jr.key(6), call), inputs, data.train_classes, updates // network.CALLS)
        inputs = draw(call + 1) if call + 1 < network.CALLS else inputs
    return {f"network{name}": networks.accuracy(x, data.test_classes) for name, x in tested.items()}


if __name__ == "__main__":
    main()

"""A second of speech-like sound: 32 channels, their spikes, and the channels again.

    python docs/examples/sound.py               # a few seconds on a laptop's CPU
    python docs/examples/sound.py --wav a.wav   # the first second of a recording

Needs `pip install ".[examples]"` in the clone. The sound is made of vowels, which are
pulses at the pitch of a voice through resonances, and of fricatives, which are filtered
noise. `FilterBank` divides it into 32 channels, and each encoder encodes the channels.
The matched decoders reconstruct the channels from the spikes.

For each encoder, the program prints the mean number of spikes per channel and second,
and the SNR of the channels: their power without their means, divided by the power of
the error. The reconstruction is compared with the channels of a few milliseconds
before, at the delay that suits the decoder best.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from scipy import signal
from scipy.io import wavfile

import _common as common
import spark_eqx as spark
from spark_eqx import measure, plot
from spark_eqx.nn.interfaces import (
    FilterBank,
    InputInterface,
    PoissonSpiker,
    RegularSpiker,
    SendOnDeltaSpiker,
    StepForwardSpiker,
)


RATE = 16000  # Hz
WINDOW = 20  # steps in which a rate decoder counts
LONGEST = 30  # steps; the delays that are compared
ENCODERS: dict[str, Callable[[float], InputInterface]] = {
    "poisson": lambda dt: PoissonSpiker(max_freq=500.0, dt=dt),
    "regular": lambda dt: RegularSpiker(max_freq=500.0, dt=dt),
    "step-forward": lambda dt: StepForwardSpiker(threshold=0.04, dt=dt),
    "send-on-delta": lambda dt: SendOnDeltaSpiker(threshold=0.04, dt=dt),
}
SHOWN = "step-forward"


def vowel(pitch: float, formants: Sequence[float], seconds: float) -> np.ndarray:
    """Pulses at the pitch [Hz], which rises and falls, through resonances [Hz]."""
    time = np.arange(round(seconds * RATE)) / RATE
    turns = np.cumsum(pitch * (1 + 0.1 * np.sin(np.pi * time / seconds))) / RATE
    sound = np.diff(np.floor(turns), prepend=0)
    for formant in formants:
        radius = np.exp(-np.pi * (50 + 0.05 * formant) / RATE)
        pole = radius * np.exp(2j * np.pi * formant / RATE)
        sound = signal.lfilter([1.0], [1.0, -2 * pole.real, radius**2], sound)
    sound = np.asarray(sound) / np.abs(sound).max()
    return sound * np.hanning(len(sound)) ** 0.3


def fricative(low: float, high: float, seconds: float, seed: int) -> np.ndarray:
    """Noise between two frequencies [Hz]."""
    noise = np.random.default_rng(seed).normal(size=round(seconds * RATE))
    band = signal.butter(4, (low, high), "bandpass", fs=RATE, output="sos")
    sound = np.asarray(signal.sosfilt(band, noise))
    return 0.3 * sound / np.abs(sound).max() * np.hanning(len(sound))


def speech() -> np.ndarray:
    """One second of sound, from -1 to 1."""
    parts = [
        vowel(120, (730, 1090, 2440), 0.25),  # as in "father"
        fricative(3500, 7500, 0.15, seed=0),
        vowel(140, (270, 2290, 3010), 0.25),  # as in "see"
        np.zeros(round(0.1 * RATE)),
        fricative(1500, 6000, 0.05, seed=1),
        vowel(110, (300, 870, 2240), 0.2),  # as in "food"
    ]
    return 0.9 * np.concatenate(parts)


def load(path: Path) -> tuple[np.ndarray, float]:
    """The first second of a WAV file, from -1 to 1, and its sample rate [Hz]."""
    rate, samples = wavfile.read(path)
    if np.issubdtype(samples.dtype, np.integer):
        whole = np.iinfo(samples.dtype)
        middle = 128 if whole.min == 0 else 0  # samples of 8 bits are unsigned
        samples = (samples.astype(np.float32) - middle) / (whole.max - middle + 1)
    return samples.reshape(len(samples), -1).mean(1)[:rate], float(rate)


class Trip(NamedTuple):
    name: str
    spikes: spark.SpikeArray
    decoded: np.ndarray
    spikes_per_s: float  # of a channel
    snr: float  # dB
    delay: int  # steps


def trip(name: str, channels: spark.FloatArray, dt: float) -> Trip:
    """Encode the channels, and decode the spikes."""
    encoder = ENCODERS[name](dt)
    encoded, _ = spark.unroll(encoder, channels, key=jr.key(0))
    spikes = encoded["spikes"]
    rate_code = isinstance(encoder, PoissonSpiker | RegularSpiker)
    decoder = encoder.decoder(**({"window": WINDOW * dt} if rate_code else {}))
    decoded = spark.unroll(decoder, spikes)[0]["signal"].value
    end, mean = len(channels) - LONGEST, channels.value.mean(0)
    ratio = lambda delay: measure.snr(
        (channels.value - mean)[:end].ravel(),
        (decoded - mean)[delay : end + delay].ravel(),
    )
    ratios = np.stack([ratio(delay) for delay in range(LONGEST)])
    seconds = len(channels) * dt / 1000
    count = float(jnp.abs(spikes.value).sum()) / channels.shape[1] / seconds
    best = int(ratios.argmax())
    return Trip(name, spikes, np.asarray(decoded), count, float(ratios[best]), best)


class Result(NamedTuple):
    bank: FilterBank
    channels: spark.FloatArray
    trips: list[Trip]


def listen(audio: np.ndarray, rate: float) -> Result:
    samples = round(rate / 1000)  # in a step of about 1 ms
    high = min(7000.0, 0.45 * rate)
    bank = FilterBank(rate=rate, high=high, dt=1000 * samples / rate)
    heard, _ = spark.unroll(bank, bank.frames(audio))
    channels = heard["output"]
    return Result(
        bank, channels, [trip(name, channels, bank.config.dt) for name in ENCODERS]
    )


def print_table(result: Result) -> None:
    steps, count = result.channels.shape
    config = result.bank.config
    print(f"{steps} steps of {config.dt:.4g} ms, {count} channels")
    print(f"{'encoder':<15} spikes/s per channel  SNR [dB]  delay [ms]")
    for each in result.trips:
        delay = each.delay * config.dt
        print(
            f"{each.name:<15} {each.spikes_per_s:20.1f}  {each.snr:8.1f}  {delay:10.0f}"
        )


def draw(result: Result) -> Any:
    """Draw the channels with the spikes of one code over them, and the decoded ones."""
    figure = common.new_figure(5.2)
    above, below = figure.subplots(2, sharex=True)
    shown = next(each for each in result.trips if each.name == SHOWN)
    about: Any = {"centres": result.bank.centres, "dt": result.bank.config.dt}
    signs = ("up", "down")
    plot.spectrogram(result.channels, shown.spikes, signs=signs, ax=above, **about)
    plot.spectrogram(shown.decoded, ax=below, **about)
    above.set(xlabel="")
    above.set_title("Channels, and their spikes", loc="left")
    below.set_title(f"Decoded from the spikes ({SHOWN})", loc="left")
    return figure


def main(arguments: Sequence[str] | None = None) -> None:
    text = "encode the first second of this recording instead of artificial speech"
    wav = {"type": Path, "metavar": "FILE", "help": text}
    options = common.parse(arguments, "sound", "Sound to spikes and back.", wav=wav)
    audio, rate = load(options.wav) if options.wav else (speech(), float(RATE))
    result = listen(audio, rate)
    print_table(result)
    common.finish(options, draw, result)


if __name__ == "__main__":
    main()

"""The examples in their short forms: each does what its docstring says."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import wavfile

from .examples import FOLDER, assert_picture, assert_rejected, load


@pytest.fixture(scope="module")
def ecg() -> Any:
    yield from load("ecg_round_trip")


@pytest.fixture(scope="module")
def sweep() -> Any:
    yield from load("sweep")


@pytest.fixture(scope="module")
def sharded() -> Any:
    yield from load("sharded")


@pytest.fixture(scope="module")
def sound() -> Any:
    yield from load("sound")


def check_printed(text: str, figure: Path) -> None:
    assert f"Figure: {figure}" in text
    assert max(len(line) for line in text.splitlines() if not line.startswith("Figure")) <= 100
    assert_picture(figure)


@pytest.mark.sweep
def test_ecg_round_trip(ecg, tmp_path, capsys, monkeypatch):
    """The fit improves both parts of the recording, and the numbers printed agree with the signals."""
    fits = []
    fit = ecg.fit
    monkeypatch.setattr(ecg, "fit", lambda *args, **kwargs: fits.append(fit(*args, **kwargs)) or fits[-1])
    ecg.main(["--quick", "--figure", str(tmp_path / "ecg.png")])
    printed = capsys.readouterr().out
    check_printed(printed, tmp_path / "ecg.png")
    (result,) = (each for each in fits if each.name.startswith("topological"))
    assert (result.after.snr > result.before.snr + 3).all()  # the gains are 9 and 5 dB with jax 0.6 and 0.10
    assert result.after.loss < result.before.loss and len(result.history) == ecg.ITERATIONS[1] + 1
    for name, value in result.end.items():
        low, high, _ = ecg.BOUNDS[name]
        assert low * (1 - 1e-6) <= value <= high * (1 + 1e-6)
        assert abs(value / result.start[name] - 1) > 0.01

    recording = ecg.load()
    signal = np.asarray(recording.signal, float)
    assert signal.min() >= 0 and signal.max() <= 1
    for trip in (result.before, result.after):
        ends = ((ecg.START, recording.split), (recording.split, len(signal)))
        for (start, stop), printed_snr in zip(ends, trip.snr, strict=True):
            original = signal[start - ecg.LATENCY : stop - ecg.LATENCY]
            noise = original - trip.reconstruction[start:stop]
            np.testing.assert_allclose(10 * np.log10(original.var() / np.mean(noise**2)), printed_snr, rtol=1e-4)
            assert f"{printed_snr:.1f}" in printed


@pytest.mark.sweep
def test_ecg_fit_does_not_depend_on_the_held_out_part(ecg):
    recording = ecg.load()
    other = recording._replace(signal=recording.signal.at[recording.split :].set(0.5))
    name = "topological-linear, 16 x 200 Hz"
    results = [ecg.fit(name, each, iterations=3) for each in (recording, other)]
    assert results[0].end == results[1].end
    assert results[0].after.loss == results[1].after.loss
    assert results[0].after.snr[1] != results[1].after.snr[1]


@pytest.mark.sweep
def test_sweep(sweep, tmp_path, capsys, monkeypatch):
    """All rates are exact to one spike. The reconstruction is good if the whole signal fires, and bad if little of it
    does."""
    results = []
    run = sweep.sweep
    monkeypatch.setattr(sweep, "sweep", lambda side: results.append(run(side)) or results[-1])
    sweep.main(["--quick", "--figure", str(tmp_path / "sweep.png")])
    check_printed(capsys.readouterr().out, tmp_path / "sweep.png")
    (result,) = results
    assert result.error.shape == result.snr.shape == (sweep.SIDE[1], sweep.SIDE[1])
    assert 0.1 < result.error.max() < 1000 / sweep.STEPS
    assert result.snr[-1, -1] > 18 and result.snr[0, 0] < 0


@pytest.mark.sweep
def test_sound(sound, tmp_path, capsys):
    """The table is that of the page, and a WAV file of the same sound has the same channels."""
    sound.main(["--figure", str(tmp_path / "sound.png")])
    printed = capsys.readouterr().out
    check_printed(printed, tmp_path / "sound.png")
    shown = (FOLDER.parent / "assets/output/sound.txt").read_text()
    for row, page in zip(printed.splitlines()[:6], shown.splitlines(), strict=True):
        (*names, _, _, _), (*shown_names, _, _, _) = row.split(), page.split()
        assert names == shown_names
    snr = {row.split()[0]: float(row.split()[2]) for row in printed.splitlines()[2:6]}
    assert snr["step-forward"] > 15 and snr["poisson"] < snr["regular"] - 5

    audio = sound.speech()
    assert audio.shape == (16000,) and 0.8 < np.abs(audio).max() <= 1
    stereo = np.stack([audio, audio], axis=1)
    files = {"whole": np.round(32767 * stereo).astype(np.int16), "bytes": np.round(127 * audio + 128).astype(np.uint8)}
    for name, samples in (files | {"floats": audio.astype(np.float32)}).items():
        wavfile.write(tmp_path / f"{name}.wav", 16000, samples)
        read, rate = sound.load(tmp_path / f"{name}.wav")
        assert rate == 16000
        np.testing.assert_allclose(read, audio, atol=0.01 if name == "bytes" else 1e-4)
    other = sound.listen(audio[:4000], 44100.0)
    assert other.bank.config.samples == 44 and other.channels.shape == (91, 32)


@pytest.mark.sweep
def test_train():
    """The full example. Fixed parameters have the values that the page shows; guessing gives 10 %."""
    done = subprocess.run([sys.executable, FOLDER / "train.py"], capture_output=True, text=True, check=True)
    shown = (FOLDER.parent / "assets/output/train.txt").read_text()
    assert done.stdout.splitlines()[:3] == shown.splitlines()[:3]
    for text in (done.stdout, shown):
        assert float(text.split()[-1].rstrip("%")) > 95


@pytest.mark.sweep
def test_train_with_a_random_encoder(tmp_path):
    """The example runs with the changes that the page shows."""
    shutil.copy(FOLDER / "train.py", tmp_path)
    subprocess.run(["git", "apply", "--unidiff-zero", FOLDER / "train_random.diff"], cwd=tmp_path, check=True)
    done = subprocess.run([sys.executable, tmp_path / "train.py"], capture_output=True, text=True, check=True)
    assert float(done.stdout.split()[-1].rstrip("%")) > 94


@pytest.mark.sweep
def test_fit_times(tmp_path):
    """The full example recovers each parameter to 1 %, as the page shows."""
    figure = tmp_path / "fit_times.png"
    command = [sys.executable, FOLDER / "fit_times.py", "--figure", figure]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert_picture(figure)
    for text in (done.stdout, (FOLDER.parent / "assets/output/fit_times.txt").read_text()):
        rows = [line.split() for line in text.splitlines()[1:4]]
        assert [row[0] for row in rows] == ["tau", "cd", "max_freq"]
        for _, true, start, found, _ in rows:
            assert abs(float(found) / float(true) - 1) < 0.01 < abs(float(start) / float(true) - 1)


@pytest.mark.sweep
def test_sharded(tmp_path):
    figure = tmp_path / "sharded.png"
    env = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"} | {"JAX_PLATFORMS": "cpu"}
    command = [sys.executable, FOLDER / "sharded.py", "--quick", "--figure", figure]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    check_printed(done.stdout, figure)
    rows = [line.split() for line in done.stdout.splitlines()[2:6]]
    assert [row[0] for row in rows] == ["poisson", "linear", "topological-poisson", "topological-linear"]
    for _, devices, spikes, equal, by_signal, by_max_freq in rows:
        assert devices == "8" and float(spikes) > 1000 and equal == "yes"
        assert float(by_signal) < 4e-6 and float(by_max_freq) < 1e-4


def test_sharded_rejects_results_that_differ(sharded):
    good = sharded.Comparison("linear", outcome=None, devices=8, equal=True, by_signal=0.0, by_max_freq=1e-7)
    sharded.check(good, 8)
    for bad in (
        {"devices": 0},
        {"equal": False},
        {"by_signal": 1e-5},
        {"by_max_freq": 1e-3},
        {"by_max_freq": float("nan")},
    ):
        with pytest.raises(AssertionError):
            sharded.check(good._replace(**bad), 8)


@pytest.mark.parametrize(
    "name, options, words",
    [
        ("ecg", ["--iterations", "0"], "'0'"),
        ("ecg", ["--iterations", "many"], "'many'"),
        ("ecg", ["--figure", "no/such/folder/ecg.png"], "folder"),
        ("sweep", ["--figure", "sweep.txt"], ".png"),
        ("sharded", ["--devices", "3"], "--devices"),
        ("sharded", ["--figure", "no/such/folder/sharded.png"], "folder"),
    ],
)
def test_bad_option_is_rejected_in_one_line(request, name, options, words, capsys):
    assert_rejected(request.getfixturevalue(name), options, words, capsys)

"""The main example in its short form, called as on the command line."""

import dataclasses
import subprocess
import sys
from typing import Any

import jax
import jax.random as jr
import numpy as np
import pytest

import spark_eqx as spark

from .examples import FOLDER, assert_picture, assert_rejected, load


@pytest.fixture(scope="module")
def digits() -> Any:
    yield from load("digits")


@pytest.mark.sweep
def test_short_form(tmp_path):
    """The run ends with the table and a figure. Sixteen seeds gave 89.7 to 93.3 %; guessing gives 10 %."""
    figure = tmp_path / "digits.png"
    done = subprocess.run(
        [sys.executable, FOLDER / "digits.py", "--quick", "--figure", figure],
        capture_output=True,
        text=True,
        check=True,
    )
    header, row = done.stdout.splitlines()[1:3]
    assert header.split() == ["encoder", "[ms]", "accuracy", "encoder", "hidden", "output", "seconds"]
    name, window, accuracy, *numbers = row.split()
    assert (name, window) == ("linear", "rate") and float(accuracy.rstrip("%")) > 85
    assert len(numbers) == 4 and all(float(number) > 0 for number in numbers)
    assert_picture(figure)


@pytest.mark.sweep
@pytest.mark.parametrize("name", ["linear", "poisson", "topological-linear", "topological-poisson"])
def test_learning_the_encoder_changes_it(digits, name):
    """Every trainable parameter of the encoder changes and stays valid."""
    train, test = digits.common.load_images(128)
    before = digits.CODES[name].config
    model = digits.Network(name, True, jr.key(0))
    result = digits.common.train_classifier(name, model, train, test, epochs=2, key=jr.key(1))
    encoder = result.state[0].encoder()
    after = encoder.config
    changed = [
        field.name
        for field in dataclasses.fields(before)
        if isinstance(getattr(after, field.name), jax.Array)
        and not np.isclose(getattr(after, field.name), getattr(before, field.name), rtol=1e-6)
    ]
    learnable = [field.name for field in dataclasses.fields(before) if field.name in digits.BOUNDS]
    assert changed == learnable and "max_freq" in changed
    assert type(after).from_json(after.to_json()) == after  # made from concrete numbers, so that all checks run
    assert isinstance(encoder, spark.SparkModule)
    # Without the option the parameters are constants.
    assert not jax.tree.leaves(digits.Encoder(digits.CODES[name], learn=False))


@pytest.mark.parametrize(
    "options, words",
    [
        (["--encoder", "morse"], "morse"),
        (["--epochs", "0"], "'0'"),
        (["--epochs", "1.5"], "'1.5'"),
        (["--seed", "-1"], "'-1'"),
        (["--figure", "no/such/folder/digits.png"], "folder"),
    ],
)
def test_bad_option_is_rejected_in_one_line(digits, options, words, capsys):
    assert_rejected(digits, options, words, capsys)

import hashlib
import json
import os
import signal
import subprocess
import sys
import unittest
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from forecasting.errors import BundleError, Diverged, UsageError
from forecasting.model.estimators import RNNClassifier, RNNRegressor

SMALL = {"hidden": 8, "epochs": 12, "batch_size": 16, "learning_rate": 0.05, "device": "cpu", "random_state": 0}
KINDS = [RNNRegressor, RNNClassifier]


# no other check is skipped, and none is expected to fail
SKIPPED = {
    "check_array_api_input": "needs SCIPY_ARRAY_API, and is about estimators that compute on their input's device"
}


@parametrize_with_checks([RNNRegressor(**SMALL), RNNClassifier(**SMALL)])
def test_scikit_learns_own_checks(estimator, check):
    try:
        check(estimator)
    except unittest.SkipTest:
        name = getattr(check, "func", check).__name__
        assert name in SKIPPED
        pytest.skip(SKIPPED[name])


def _windows(n=200, steps=6, features=None, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, steps) if features is None else (n, steps, features))


def _classes(x):
    """Down, flat or up by the sum of a window."""
    total = x.reshape(len(x), -1).sum(axis=1)
    return np.select([total < -1, total > 1], ["down", "up"], "flat")


def _fitted(kind, x, **changes):
    y = _classes(x) if kind is RNNClassifier else x.reshape(len(x), -1).sum(axis=1)
    return kind(**SMALL | changes).fit(x, y), y


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "none"])
@pytest.mark.parametrize("kind", KINDS)
def test_windows_of_several_features_are_learned(kind, cell):
    x = _windows(300, 3 if cell != "none" else 1, 2)
    model, y = _fitted(kind, x, cell=cell, epochs=30, hidden=12)
    assert model.score(x, y) > 0.85
    assert model.window_shape_ == x.shape[1:]


@pytest.mark.parametrize("kind", KINDS)
def test_two_dimensional_windows_are_sequences_of_one_variable(kind):
    x = _windows()
    flat, _ = _fitted(kind, x)
    deep, _ = _fitted(kind, x[..., None])
    np.testing.assert_array_equal(flat.predict(x), deep.predict(x[..., None]))


def test_several_targets_are_predicted_at_once_each_in_its_own_units():
    x = _windows(400)
    y = np.column_stack([1e-3 * x[:, -1], 1e4 + 100 * x[:, -2]])
    model = RNNRegressor(**SMALL | {"epochs": 40, "hidden": 12}).fit(x, y)
    assert model.predict(x).shape == (400, 2)
    assert (1 - ((model.predict(x) - y) ** 2).mean(axis=0) / y.var(axis=0) > 0.9).all()


@pytest.mark.parametrize("n_classes", [2, 5])
def test_probabilities_are_of_all_classes_in_their_order(n_classes):
    x = _windows(400)
    quantile = np.digitize(x.sum(axis=1), np.quantile(x.sum(axis=1), np.arange(1, n_classes) / n_classes))
    model = RNNClassifier(**SMALL | {"epochs": 30}).fit(x, quantile)
    p = model.predict_proba(x)
    assert model.classes_.tolist() == list(range(n_classes))
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_array_equal(model.predict(x), p.argmax(axis=1))
    assert model.score(x, quantile) > 1.8 / n_classes if n_classes > 2 else model.score(x, quantile) > 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_estimator_predicts_the_same_bits_and_is_not_pickled(kind, tmp_path):
    x = _windows(80, 4, 2)
    model, _ = _fitted(kind, x, layers=2, dropout=0.1)
    model.save(tmp_path / "model")
    loaded = kind.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(x), model.predict(x))
    assert loaded.get_params() == model.get_params()
    assert loaded.history_ == model.history_
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == ["estimator.json", "weights.safetensors"]
    if kind is RNNClassifier:
        np.testing.assert_array_equal(loaded.predict_proba(x), model.predict_proba(x))
        assert loaded.classes_.tolist() == ["down", "flat", "up"]


def test_a_damaged_missing_or_other_estimator_is_refused(tmp_path):
    model, _ = _fitted(RNNRegressor, _windows(40))
    with pytest.raises(BundleError, match="no whole estimator"):
        RNNRegressor.load(tmp_path)
    model.save(tmp_path)
    with pytest.raises(BundleError, match="a RNNRegressor, this reads format 1 and a RNNClassifier"):
        RNNClassifier.load(tmp_path)
    content = bytearray((tmp_path / "weights.safetensors").read_bytes())
    content[-3] ^= 1
    (tmp_path / "weights.safetensors").write_bytes(content)
    with pytest.raises(BundleError, match="damaged"):
        RNNRegressor.load(tmp_path)
    manifest = json.loads((tmp_path / "estimator.json").read_text())
    (tmp_path / "estimator.json").write_text(json.dumps(manifest | {"format": 2}))
    with pytest.raises(BundleError, match="format 2"):
        RNNRegressor.load(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_warm_start_goes_on_and_a_cold_one_begins_again(kind):
    x = _windows()
    model, y = _fitted(kind, x)
    first = model.history_[-1].loss
    again = clone(model).fit(x, y).history_
    assert [e.loss for e in again] == [e.loss for e in model.history_]
    model.set_params(warm_start=True).fit(x, y)
    assert len(model.history_) == 24
    assert model.history_[12].loss < 1.2 * first
    with pytest.raises(UsageError, match="warm start on"):
        model.fit(_windows(50, 6, 3), y[:50])


def test_it_works_in_a_pipeline_a_grid_search_over_time_and_a_cross_validation():
    x = _windows(120)
    y, up = x[:, -1], np.where(x[:, -1] > 0, "up", "down")
    pipeline = make_pipeline(StandardScaler(), RNNRegressor(**SMALL))
    search = GridSearchCV(pipeline, {"rnnregressor__hidden": [2, 8]}, cv=TimeSeriesSplit(2)).fit(x, y)
    assert search.best_params_["rnnregressor__hidden"] in (2, 8)
    assert search.score(x, y) > 0.5
    scores = cross_val_score(RNNClassifier(**SMALL | {"epochs": 20}), x, up, cv=TimeSeriesSplit(2))
    assert (scores > 0.7).all()


def test_early_stopping_is_judged_by_the_last_rows_only_and_keeps_the_best_weights():
    x = _windows(100)
    y = x[:, -1].copy()
    y[80:] = np.random.default_rng(1).normal(size=20)  # nothing in the last part can be learned
    changes = {"early_stopping": True, "patience": 3, "epochs": 100, "schedule": "constant"}
    model = RNNRegressor(**SMALL | changes).fit(x, y)
    losses = [e.validation_loss for e in model.history_]
    assert len(losses) == np.argmin(losses) + 1 + 3 < 100
    z = (y[80:] - y[:80].mean()) / y[:80].std()
    kept = np.mean(((model.predict(x[80:]) - y[:80].mean()) / y[:80].std() - z) ** 2)
    assert kept == pytest.approx(min(losses), rel=1e-5)
    # another validation part changes neither the scale nor the first epoch of training
    other = RNNRegressor(**SMALL | changes).fit(np.vstack([x[:80], 9 + x[80:]]), y)
    assert other.history_[0].loss == model.history_[0].loss
    with pytest.raises(UsageError, match="both parts need one"):
        RNNRegressor(**SMALL | {"early_stopping": True}).fit(x[:2], y[:2])


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_decides_every_bit_and_none_leaves_it_to_chance(kind):
    x = _windows(60)
    a, b, other = (_fitted(kind, x, dropout=0.2, random_state=s)[0] for s in (1, 1, 2))
    for p, q, r in zip(*(m.network_.parameters() for m in (a, b, other)), strict=True):
        assert torch.equal(p, q)
        assert not torch.equal(p, r)


def test_truncation_as_long_as_the_window_changes_no_bit_and_a_shorter_one_does():
    x = _windows(60)
    full, same, cut = (_fitted(RNNRegressor, x, tbptt_steps=n)[0].predict(x) for n in (None, 6, 2))
    np.testing.assert_array_equal(full, same)
    assert not np.allclose(full, cut)


def test_divergence_is_a_clear_error_and_leaves_a_network_that_predicts():
    x = _windows(60)
    model = RNNRegressor(**SMALL | {"learning_rate": 1e30, "nonlinearity": "relu", "schedule": "constant"})
    with pytest.raises(Diverged, match="diverged at step"):
        model.fit(x, x[:, -1])
    assert np.isfinite(model.predict(x)).all()


@pytest.mark.parametrize("changes", [{"schedule": "zigzag"}, {"cell": "brain"}, {"device": "abacus"}])
def test_a_setting_that_does_not_exist_is_refused_by_name(changes):
    with pytest.raises(UsageError, match=next(iter(changes.values()))):
        RNNRegressor(**SMALL | changes).fit(_windows(20), np.zeros(20))


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from forecasting.model import loop
from test_estimators import resumable
keep, kept = loop._keep, []
def die(*args):
    keep(*args)
    kept.append(1)
    if len(kept) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
loop._keep = die
resumable(sys.argv[2])
"""


def resumable(checkpoint):
    return _fitted(RNNRegressor, _windows(), dropout=0.3, layers=2, checkpoint=checkpoint)[0]


def _checksum(model):
    return hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in model.network_.parameters())).hexdigest()


def test_a_fit_that_was_killed_goes_on_to_the_same_weights(tmp_path):
    path = tmp_path / "fit.safetensors"
    here = str(Path(__file__).parent)
    run = subprocess.run([sys.executable, "-c", KILLED, here, str(path)], capture_output=True, text=True)
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert path.exists()
    assert os.path.getsize(path) > 0
    assert _checksum(resumable(path)) == _checksum(resumable(None))
    assert not path.exists()

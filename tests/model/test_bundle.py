import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from forecasting.errors import BundleError
from forecasting.model.bundle import load_model, save_model
from forecasting.model.forecaster import RNNForecaster
from forecasting.model.manifest import model_name

ELSEWHERE = """
import sys, numpy as np, pandas as pd
from pathlib import Path
from forecasting.bars import PriceSeries
from forecasting.instruments import Instrument
from forecasting.ingestion.synthetic import make_market
from forecasting.model.bundle import load_model
series = {
    s: PriceSeries(Instrument.from_symbol(s, "synthetic"), make_market(s).loc[:"2012-12-31"]) for s in ("SYN1", "SYN2")
}
forecast = load_model(Path(sys.argv[1]), sys.argv[2]).forecast(series)
np.save(sys.argv[3], np.stack([forecast[s].values for s in sorted(forecast)]))
"""


@pytest.fixture
def saved(fitted, tmp_path):
    return tmp_path, save_model(fitted, tmp_path)


def test_another_process_forecasts_the_same_bits(fitted, saved, market, tmp_path):
    models, model_id = saved
    out = tmp_path / "values.npy"
    subprocess.run([sys.executable, "-c", ELSEWHERE, str(models), model_id, str(out)], check=True)
    here = fitted.forecast({s: market[s] for s in ("SYN1", "SYN2")})
    np.testing.assert_array_equal(np.load(out), np.stack([here[s].values for s in sorted(here)]))


def test_everything_about_the_model_comes_back(fitted, saved):
    loaded = load_model(*saved)
    assert loaded.recipe == fitted.recipe
    assert loaded.model.universe == ("SYN1", "SYN2")
    assert loaded.model.trained_until == fitted.model.trained_until
    assert loaded.model.history == fitted.model.history


def test_the_same_fit_has_the_same_id_and_is_not_written_again(fitted, saved, market, small_recipe):
    models, model_id = saved
    before = (models / model_id / "bundle.json").stat().st_mtime_ns
    again = RNNForecaster(small_recipe).fit({s: market[s].until(pd.Timestamp("2011-12-30")) for s in ("SYN1", "SYN2")})
    assert save_model(again, models) == model_id
    assert (models / model_id / "bundle.json").stat().st_mtime_ns == before


def test_a_flipped_bit_in_the_weights_is_found(saved):
    models, model_id = saved
    path = models / model_id / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match="SHA-256.*next:"):
        load_model(models, model_id)


def test_an_edited_manifest_is_found(saved):
    models, model_id = saved
    path = models / model_id / "bundle.json"
    manifest = json.loads(path.read_text())
    manifest["trained_until"] = "2001-01-01"
    path.write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="changed after it was written"):
        load_model(models, model_id)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"format": 1}', '"text"'])
def test_a_manifest_that_is_not_whole_is_a_clear_error(saved, content):
    models, model_id = saved
    (models / model_id / "bundle.json").write_text(content)
    with pytest.raises(BundleError, match=model_id):
        load_model(models, model_id)


def test_another_format_is_refused(saved):
    models, model_id = saved
    content = json.loads((models / model_id / "bundle.json").read_text()) | {"format": 3}
    (models / model_id / "bundle.json").write_text(json.dumps(content))
    (models / model_id).rename(models / model_name(content))
    with pytest.raises(BundleError, match="format 3"):
        load_model(models, model_name(content))


def test_a_missing_model_names_the_next_command(tmp_path):
    with pytest.raises(BundleError, match="next: tickercast"):
        load_model(tmp_path, "rnn-20181231-0000000000")

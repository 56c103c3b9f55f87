import subprocess
import sys

import forecasting


def test_every_public_name_resolves_and_nothing_else_does():
    for name in forecasting.__all__:
        assert getattr(forecasting, name) is not None
    assert not hasattr(forecasting, "no_such_name")
    assert dir(forecasting) == forecasting.__all__


def test_importing_the_package_loads_neither_torch_nor_pandas():
    code = "import sys, forecasting; print([m for m in ('torch', 'pandas', 'numpy', 'plotly') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"


def test_reading_what_was_forecast_and_tested_loads_no_torch():
    code = (
        "import sys; from forecasting import find_report, forecast_figure, read_manifest, read_outlooks; "
        "print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "False\n"

"""The recurrent network: inputs, training, calibration, forecasts."""

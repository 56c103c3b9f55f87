"""`python -m forecasting` is `tickercast`."""

from forecasting.cli.verbs import app

if __name__ == "__main__":
    app()

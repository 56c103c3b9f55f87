"""`python -m forecasting` is `tickercast`."""

from forecasting.cli import main

main()

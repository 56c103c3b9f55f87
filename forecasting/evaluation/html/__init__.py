"""A backtest as one page of HTML."""

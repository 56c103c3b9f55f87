"""The command line: each verb parses, makes one call of the engine, and renders.

Heavy packages are imported inside the verbs, so that `tickercast --help` answers at once.
"""

from forecasting.cli.verbs import app


def main() -> None:
    """Run the `tickercast` command."""
    app()

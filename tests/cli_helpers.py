"""Run verbs in this process, on a workspace of the test's own."""

import hashlib
import json

from typer.testing import CliRunner

from forecasting.cli.verbs import app

# one small run that every option of the job can be tried on
SMALL = ["--source", "synthetic", "--epochs", "1", "--window", "60", "--test-sessions", "60", "--horizon", "5"]


class Tickercast:
    def __init__(self, workspace):
        self.workspace = workspace

    def __call__(self, *arguments, json_output=False):
        extra = ["--json"] if json_output else []
        result = CliRunner().invoke(app, [*arguments, "--workspace", str(self.workspace), *extra])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def json(self, *arguments):
        result = self(*arguments, json_output=True)
        return result, json.loads(result.stdout)

    def fingerprint(self):
        """Return every file of the workspace with its content's hash."""
        return {
            str(p.relative_to(self.workspace)): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in sorted(self.workspace.rglob("*"))
            if p.is_file()
        }

"""A small OpenID Connect provider on this machine: who asks it to sign in chooses whom to be.

Of OpenID Connect Core 1.0 it has the authorization code flow (section 3.1) with PKCE, which is what `st.login` uses.
"""

import base64
import hashlib
import json
import secrets
import threading
import time
from contextlib import contextmanager
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from joserfc import jwk, jwt

CLIENT_ID, CLIENT_SECRET = "tickercast", "a-secret-of-the-test"
_LIFETIME_S = 300


class Provider(ThreadingHTTPServer):
    """Signs in whoever is named in `people`: claims by the name to click."""

    daemon_threads = True

    def __init__(self, people):
        super().__init__(("127.0.0.1", 0), _Answers)
        self.people = people
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.metadata_url = f"{self.url}/.well-known/openid-configuration"
        self.key = jwk.RSAKey.generate_key(2048, {"kid": "test"})
        self.granted = {}  # by code: what was asked, and the claims


class _Answers(BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self):
        parts = urlsplit(self.path)
        asked, url = dict(parse_qsl(parts.query)), self.server.url
        if parts.path == "/.well-known/openid-configuration":
            self._answer(
                {
                    "issuer": url,
                    "authorization_endpoint": f"{url}/authorize",
                    "token_endpoint": f"{url}/token",
                    "jwks_uri": f"{url}/jwks",
                    "end_session_endpoint": f"{url}/leave",
                    "response_types_supported": ["code"],
                    "subject_types_supported": ["public"],
                    "id_token_signing_alg_values_supported": ["RS256"],
                    "code_challenge_methods_supported": ["S256"],
                }
            )
        elif parts.path == "/jwks":
            self._answer({"keys": [self.server.key.as_dict(private=False)]})
        elif parts.path == "/authorize":
            links = "".join(
                f'<p><a href="/as?{escape(parts.query)}&amp;who={who}">{who}</a>' for who in self.server.people
            )
            self._answer(f"<!doctype html><title>Who are you?</title>{links}", "text/html")
        elif parts.path == "/as":
            code = secrets.token_hex(8)
            self.server.granted[code] = asked
            self._send_on(f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}")
        elif parts.path == "/leave":
            self._send_on(asked["post_logout_redirect_uri"])
        else:
            self.send_error(404)

    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        asked = self.server.granted.pop(form["code"][0])
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"][0].encode()).digest())
        basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        if (
            self.headers["Authorization"] != f"Basic {basic}"
            or challenge.decode().rstrip("=") != asked["code_challenge"]
        ):
            self.send_error(401)
            return
        now = int(time.time())
        claims = {
            "iss": self.server.url, "aud": CLIENT_ID, "sub": asked["who"], "nonce": asked["nonce"],
            "iat": now, "exp": now + _LIFETIME_S, **self.server.people[asked["who"]],
        }  # fmt: skip
        token = jwt.encode({"alg": "RS256", "kid": "test"}, claims, self.server.key)
        answer = {"access_token": "unused", "token_type": "Bearer", "expires_in": _LIFETIME_S, "id_token": token}
        self._answer(answer)

    def _answer(self, content, kind="application/json"):
        body = (content if isinstance(content, str) else json.dumps(content)).encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_on(self, url):
        self.send_response(302)
        self.send_header("Location", url)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@contextmanager
def provider(people):
    """Serve a provider within the block."""
    server = Provider(people)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

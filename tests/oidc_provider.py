"""A small OpenID Connect provider on a real socket: discovery, code flow with PKCE, RS256 tokens.

It logs in whomever the test says, without asking.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT, SECRET = "console", "the-secret-of-the-client"


class Provider:
    """``person``: the claims about who logs in next; None: this person refuses."""

    def __init__(self) -> None:
        self.person: dict[str, Any] | None = {"sub": "1", "preferred_username": "pia"}
        self.audience = CLIENT
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.granted: dict[str, dict[str, Any]] = {}
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=[0.02], daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
        }

    def authorize(self, query: dict[str, str]) -> str:
        """Where the browser is sent back to."""
        answer = {"state": query["state"]}
        if query["client_id"] != CLIENT or self.person is None:
            answer["error"] = "access_denied"
        else:
            answer["code"] = secrets.token_urlsafe(8)
            self.granted[answer["code"]] = {**query, "claims": self.person}
        return f"{query['redirect_uri']}?{urlencode(answer)}"

    def token(self, form: dict[str, str]) -> dict[str, Any]:
        granted = self.granted.pop(form["code"])  # a code counts once
        assert (form["client_id"], form["client_secret"]) == (CLIENT, SECRET)
        assert form["redirect_uri"] == granted["redirect_uri"]
        hashed = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(hashed).decode().rstrip("=")
        assert challenge == granted["code_challenge"]
        access = secrets.token_urlsafe(8)
        self.granted[access] = granted["claims"]
        now = int(time.time())
        times = {"iat": now, "exp": now + 60}
        claims = {"iss": self.issuer, "aud": self.audience, **times, **granted["claims"]}
        signed = jwt.encode(claims, self.key, algorithm="RS256")
        return {"access_token": access, "token_type": "Bearer", "id_token": signed}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if parts.path == "/authorize":
                    query = {name: value[0] for name, value in parse_qs(parts.query).items()}
                    self.send_response(302)
                    self.send_header("Location", provider.authorize(query))
                    self.end_headers()
                elif parts.path == "/userinfo":
                    self._json(provider.granted[self.headers["Authorization"].split()[1]])
                else:
                    self._json(provider.discovery())

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                self._json(
                    provider.token({name: value[0] for name, value in parse_qs(body).items()})
                )

            def _json(self, body: Any) -> None:
                text = json.dumps(body).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *args: Any) -> None:
                pass

        return Handler

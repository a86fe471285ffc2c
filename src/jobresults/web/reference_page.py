"""`/docs`: the API reference to read in a browser, without anything from elsewhere."""

from __future__ import annotations

from importlib.resources import files

from flask import Response

from jobresults.errors import NotFound

ASSETS = {
    "swagger_bundle.js": "text/javascript",
    "swagger_preset.js": "text/javascript",
    "swagger_style.css": "text/css",
    "start.js": "text/javascript",
}
_START = """window.addEventListener("load", () => SwaggerUIBundle({
  url: "/openapi.json", dom_id: "#reference", deepLinking: true, tryItOutEnabled: true,
  presets: [SwaggerUIBundle.presets.apis], validatorUrl: null,
}));
"""
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>jobresults: API reference</title>
<link rel="stylesheet" href="/docs/swagger_style.css">
<link rel="icon" href="data:,">
</head>
<body>
<div id="reference"></div>
<script src="/docs/swagger_bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""


def docs() -> Response:
    """Show the API reference."""
    response = Response(_PAGE, mimetype="text/html")
    response.headers["Content-Security-Policy"] = (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "frame-ancestors 'none'"
    )
    return response


def asset(asset: str) -> Response:
    """Serve a file of the API reference page."""
    if asset not in ASSETS:
        raise NotFound("no such page")
    content = _START.encode() if asset == "start.js" else (files("offapi") / asset).read_bytes()
    response = Response(content, mimetype=ASSETS[asset])
    response.headers["Cache-Control"] = "public, max-age=86400"
    return response

"""The page at ``/``: Swagger's, of the files that BentoML brings along, and nothing of anybody else's.

BentoML's own page loads Google Tag Manager: a closed network does not reach it, and elsewhere nobody should be told.
"""

from __future__ import annotations

HEADERS = (
    (b"content-security-policy", b"default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"),
    (b"x-content-type-options", b"nosniff"),
)
"""A browser asks nobody but this service; Swagger would have the document judged by a server of its own."""

PAGE = b"""<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="UTF-8">
    <title>Model service</title>
    <link rel="icon" href="data:,">
    <link rel="stylesheet" href="./static_content/swagger-ui.css">
  </head>
  <body>
    <div id="swagger-ui">
      <h1>Model service</h1>
      <ul>
        <li><code>POST /predict</code>: rows by the names of their columns</li>
        <li><code>POST /invocations</code>: the scoring protocol of MLflow</li>
        <li><a href="./docs.json">/docs.json</a>: both, described in OpenAPI</li>
        <li><a href="./health">/health</a>, <a href="./version">/version</a>, <a href="./metrics">/metrics</a></li>
      </ul>
    </div>
    <script src="./static_content/swagger-ui-bundle.js"></script>
    <script src="./static_content/swagger-ui-standalone-preset.js"></script>
    <script src="./static_content/swagger-initializer.js"></script>
  </body>
</html>
"""
"""It says the same in plain words until a script writes over them."""

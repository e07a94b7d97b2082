"""Deployments: a registered version becomes a BentoML service, an image, an endpoint."""

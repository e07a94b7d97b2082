"""Where steps run: uv environments, the running interpreter."""

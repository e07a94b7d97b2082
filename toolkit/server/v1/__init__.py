"""Our own API, under ``/api/v1``: typed, with an OpenAPI document, and all that a run store can do."""

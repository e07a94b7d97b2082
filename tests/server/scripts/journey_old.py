"""The part of the journey that the oldest client of MLflow 2 can go; ``MLFLOW_TRACKING_URI`` names the server."""

import journey_artifacts  # noqa: F401 - its checks
import journey_core  # noqa: F401
import journey_registry  # noqa: F401
import journey_search  # noqa: F401
from journey_checks import run

run()

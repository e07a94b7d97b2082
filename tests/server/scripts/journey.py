"""A user's journey with the newest client of MLflow; ``MLFLOW_TRACKING_URI`` names the server.

Each check prints a line of JSON. Names on the command line run some of them: ``search``, or ``search.orders``.
"""

import journey_artifacts  # noqa: F401 - its checks
import journey_commands  # noqa: F401
import journey_core  # noqa: F401
import journey_datasets  # noqa: F401
import journey_fluent  # noqa: F401
import journey_logged_models  # noqa: F401
import journey_mistakes  # noqa: F401
import journey_registry  # noqa: F401
import journey_search  # noqa: F401
from journey_checks import run

run()

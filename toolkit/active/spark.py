"""Models as functions of Spark's columns, by their URI."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from toolkit.active import models
from toolkit.errors import NotYetSupported
from toolkit.models.spark import udf


def spark_udf(
    spark: Any,  # noqa: ANN401 - a session
    model_uri: str | Path,
    result_type: Any = "double",  # noqa: ANN401 - a text, or a type of Spark's
    env_manager: str | None = None,
    params: Mapping[str, Any] | None = None,
    model_config: Mapping[str, Any] | None = None,
    *,
    trust: bool = False,
) -> Callable[..., Any]:
    """Return a function of Spark's columns that predicts with a model; its files are sent to the executors.

    It takes columns by position, in the order of the model's signature; or one struct of columns, by their names; or
    nothing: then it takes the columns that the signature names. ``spark.udf.register`` takes it for SQL. The Python of
    the executors has to have toolkit and what the model needs.

    Args:
        spark: The session.
        model_uri: The model, as `toolkit.load_model` takes it.
        result_type: What each row's prediction is: ``double``, ``float``, ``bigint``, ``int``, ``boolean``,
            ``string``, an array of such, or fields as in ``label string, score double``.
        env_manager: MLflow's argument; ``local`` is all there is.
        params: Parameters for each prediction.
        model_config: What the model is to find as its configuration.
        trust: Load the model though it can run any code.

    Raises:
        InvalidValue: It is no session, no type of Spark's, or the model cannot be used so.
        NotFound: There is no such model.
        UntrustedModel: It would run code that nobody has said to trust.
        ArtifactCorrupt: A file is not what was recorded.
    """
    if env_manager not in (None, "local"):
        raise NotYetSupported(
            f"env_manager={env_manager!r} would build an environment on each executor: give them the model's "
            "requirements beforehand, as spark.archives does, and leave it out"
        )
    found = models._fetched(model_uri, None)
    return udf(
        spark,
        found.folder,
        result_type,
        params=params,
        config=model_config,
        trust=models._trust(found, trust=trust),
    )

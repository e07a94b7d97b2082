"""A saved model that is loaded: something that predicts in one way, whatever library it is of."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from toolkit.errors import InvalidValue
from toolkit.models.enforcement import enforce, enforce_params
from toolkit.models.flavor import LoadContext, Predictor, part_of
from toolkit.models.lookup import flavor_named, flavor_with_loader
from toolkit.models.metadata import FILE, ModelMetadata
from toolkit.models.own_code import use_code
from toolkit.models.trust import Trust

PYFUNC = "python_function"


class LoadedModel:
    """A model that predicts in one way, whatever library it is of."""

    def __init__(self, predictor: Predictor, metadata: ModelMetadata, config: Mapping[str, Any] | None = None) -> None:
        self._predictor = predictor
        self._metadata = metadata
        self._config = dict(config or {})

    @property
    def metadata(self) -> ModelMetadata:
        """What its MLmodel says."""
        return self._metadata

    @property
    def model_config(self) -> Mapping[str, Any]:
        """What it was configured with."""
        return self._config

    @property
    def native(self) -> Any:  # noqa: ANN401 - the library's class
        """The model as its library knows it."""
        return self._predictor.native

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - what the model takes
        """Return what the model says of data.

        Args:
            data: What its signature wants; without one, what the model wants.
            params: What else the signature names, such as a temperature.

        Raises:
            SchemaMismatch: The data do not fit the signature; the message names the column.
        """
        return self._predictor.predict(*self._fitted(data, params))

    def predict_stream(self, data: Any, params: Mapping[str, Any] | None = None) -> Iterator[Any]:  # noqa: ANN401 - the same
        """Give what the model says piece by piece; arguments as in `predict`.

        Raises:
            InvalidValue: The model gives no pieces.
        """
        stream = getattr(self._predictor, "predict_stream", None)
        if stream is None or not self._metadata.flavor(PYFUNC).get("streamable"):
            raise InvalidValue("this model gives no pieces: call predict")
        return iter(stream(*self._fitted(data, params)))

    def unwrap_python_model(self) -> Any:  # noqa: ANN401 - the user's or the library's class
        """Return the object that was saved: of a class of `PythonModel`, or the library's."""
        return getattr(self.native, "func", self.native) if _is_function(self.native) else self.native

    def __repr__(self) -> str:
        """Return what it is, in a line."""
        flavors = ", ".join(self._metadata.flavors)
        return f"<LoadedModel {self._metadata.model_id or self._metadata.model_uuid} ({flavors})>"

    def _fitted(
        self,
        data: Any,  # noqa: ANN401 - the same
        params: Mapping[str, Any] | None,
    ) -> tuple[Any, Mapping[str, Any] | None]:
        signature = self._metadata.signature
        if signature is None:
            return data, params
        hinted = self._metadata.extra.get("is_signature_from_type_hint")  # the model itself checks these data
        return (data if hinted else enforce(data, signature)), enforce_params(params, signature)


def _is_function(native: object) -> bool:
    return type(native).__name__ in ("FunctionModel", "_FunctionPythonModel")


def load_model(path: Path, *, trust: Trust | None = None, config: Mapping[str, Any] | None = None) -> LoadedModel:
    """Load a model so that it predicts.

    Args:
        path: Its folder.
        trust: What in it may run code; default: nothing.
        config: What it is to find as its ``model_config``, besides what it was saved with.

    Raises:
        NotFound: The folder has no MLmodel, or the model has no flavor ``python_function``.
        UntrustedModel: It would run code that is not trusted.
        InvalidValue: What it takes is not installed, or the files cannot be used.
    """
    metadata = ModelMetadata.read(path)
    metadata.flavor(PYFUNC)
    return opened(path, metadata, trust or Trust(), config or {})


def load_native(path: Path, flavor: str, *, trust: Trust | None = None) -> Any:  # noqa: ANN401 - the library's class
    """Load a model as its library knows it; raises what `load_model` does."""
    metadata = ModelMetadata.read(path)
    block = metadata.flavor(flavor)
    found = flavor_named(flavor)
    context = LoadContext(trust=trust or Trust())
    _use_code(path, metadata, context.trust)
    return found.load(path, block, context)


def opened(path: Path, metadata: ModelMetadata, trust: Trust, config: Mapping[str, Any]) -> LoadedModel:
    """Return a model whose MLmodel is read already; raises what `load_model` does."""
    block = metadata.flavor(PYFUNC)
    context = LoadContext(trust=trust, config={**(block.get("config") or {}), **config})
    loader = str(block.get("loader_module"))
    flavor = flavor_with_loader(loader)
    if flavor is None:
        trust.require(path / FILE, f"an MLmodel that is loaded by code from elsewhere, {loader},")
    _use_code(path, metadata, trust)
    predictor = _foreign(path, block, loader) if flavor is None else flavor.predictor(path, metadata, context)
    return LoadedModel(predictor, metadata, context.config)


def _use_code(path: Path, metadata: ModelMetadata, trust: Trust) -> None:
    names = {str(code) for block in metadata.flavors.values() if (code := block.get("code"))}
    for name in sorted(names):
        use_code(path, name, trust)


class _ForeignPredictor:
    """A model that somebody else's loader gave."""

    def __init__(self, native: Any) -> None:  # noqa: ANN401 - whatever it gave
        self.native = native

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - what the model takes
        return self.native.predict(data, params) if params else self.native.predict(data)


def _foreign(path: Path, block: Mapping[str, Any], loader: str) -> _ForeignPredictor:
    """Load a model by a module that is not ours; whoever calls this has asked whether it is trusted.

    Raises:
        InvalidValue: It is not installed, or no loader.
    """
    try:
        load = importlib.import_module(loader)._load_pyfunc
    except ModuleNotFoundError as error:
        raise InvalidValue(
            f"the model is loaded by {loader}, and {error.name} is not installed: its requirements.txt says what it "
            "takes"
        ) from error
    except AttributeError:
        raise InvalidValue(f"the model is loaded by {loader}, which has no function _load_pyfunc") from None
    data = block.get("data") or block.get("model_path")
    return _ForeignPredictor(load(str(part_of(path, data) if data else path)))

"""PyTorch: modules as exported graphs, as weights, or as pickles.

``pt2``, the default, is the graph that ``torch.export`` traces with an example: loading it takes no code of the model.
``safetensors`` is ours: the weights, and the name of the class that they are loaded into. ``pickle`` is all the rest.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pickle
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from toolkit.errors import InvalidValue, NotFound
from toolkit.models.exported import suspicion
from toolkit.models.flavor import LoadContext, SavedFlavor, SaveRequest, class_modules, imported, part_of
from toolkit.models.messages import first_line
from toolkit.models.metadata import FILE, ModelMetadata

FORMATS = ("pt2", "safetensors", "pickle")
_DATA = "data"
_EXPORTED = "model.pt2"
_WEIGHTS = "model.safetensors"
_PICKLE = "model.pth"
_PICKLE_MODULE = "pickle_module_info.txt"
_THEIR_PICKLE = "mlflow.pytorch.pickle_module"
_WAYS = (
    "give input_example, an array or a DataFrame, for an exported graph; or serialization_format='safetensors' and "
    "model_kwargs, what its class is called with; or serialization_format='pickle', which runs code when it is loaded"
)


class PytorchFlavor:
    """Modules of torch and of Lightning."""

    name = "pytorch"
    package = "torch"
    modules = ("torch", "lightning", "pytorch_lightning")
    loader_module = "mlflow.pytorch"

    def takes(self, model: object) -> bool:
        """Tell whether a class of the model's is torch's."""
        return not set(self.modules).isdisjoint(class_modules(model))

    def save(self, model: Any, folder: Path, request: SaveRequest) -> SavedFlavor:  # noqa: ANN401 - a module
        """Write the module, as it is in evaluation.

        ``serialization_format`` is ``pt2``, ``safetensors`` or ``pickle``; by default the first of the first two that
        the module can be saved as. ``model_kwargs`` is what its class is called with, for ``safetensors``.

        Raises:
            InvalidValue: It is no module, the format is none, or it cannot be saved as that.
        """
        torch = imported("torch", self.package, self.name)
        options = request.read(serialization_format=None, model_kwargs=None, export_model=False, pickle_module=None)
        kind = options["serialization_format"] or ("pt2" if options["export_model"] else None)
        if not isinstance(model, torch.nn.Module):
            raise InvalidValue(f"a {type(model).__name__} is no model of torch: wanted a torch.nn.Module")
        if kind not in (None, *FORMATS):
            raise InvalidValue(f"torch models have no format {kind!r}: wanted one of {', '.join(FORMATS)}")
        data = folder / _DATA
        data.mkdir()
        block: dict[str, Any] = {"model_data": _DATA, "pytorch_version": str(torch.__version__)}
        with _evaluating(model):
            if kind == "pickle":
                _write_pickle(torch, model, data)
            elif kind == "pt2":
                _export(torch, model, data, request)
            elif kind == "safetensors":
                block |= _write_weights(torch, model, data, options["model_kwargs"])
            else:
                block |= _write_what_fits(torch, model, data, request, options["model_kwargs"])
        own = ("safetensors",) if (data / _WEIGHTS).exists() else ("cloudpickle",) if kind == "pickle" else ()
        return SavedFlavor(
            block=block,
            pyfunc={"data": _DATA, "pickle_module_name": _THEIR_PICKLE, "config": {"device": None}},
            requirements=("torch", *own),
        )

    def load(self, folder: Path, block: Mapping[str, Any], context: LoadContext) -> Any:  # noqa: ANN401 - a module
        """Return the module, on the device that ``context.config`` names, else where it was saved or on the CPU.

        Raises:
            UntrustedModel: It would run code that is not trusted.
            InvalidValue: torch is not installed, or cannot read the file.
            NotFound: There is no file of a model.
        """
        torch = imported("torch", self.package, self.name)
        data = part_of(folder, block.get("model_data") or _DATA)
        device = context.config.get("device")
        for name, read in ((_EXPORTED, _read_exported), (_WEIGHTS, _read_weights), (_PICKLE, _read_pickle)):
            if (data / name).exists():
                return read(torch, data / name, block, context, device)
        raise NotFound(f"the model in {folder} has none of {_EXPORTED}, {_WEIGHTS}, {_PICKLE} in {data.name}")

    def predictor(self, folder: Path, metadata: ModelMetadata, context: LoadContext) -> TorchPredictor:
        """Return what calls the module with tensors made of the data."""
        torch = imported("torch", self.package, self.name)
        device = context.config.get("device") or ("cuda" if torch.cuda.is_available() else "cpu")
        placed = LoadContext(trust=context.trust, config={**context.config, "device": device})
        model = self.load(folder, metadata.flavor(self.name), placed)
        inputs = metadata.signature.inputs if metadata.signature is not None else None
        names = inputs.input_names() if inputs is not None and inputs.is_tensor_spec() else []
        return TorchPredictor(torch, model, device, [name for name in names if isinstance(name, str)])


class TorchPredictor:
    """A module that is called with tensors and answers with arrays."""

    def __init__(self, torch: Any, native: Any, device: str, names: list[str]) -> None:  # noqa: ANN401 - torch's
        self.native = native
        self._torch = torch
        self._device = device
        self._names = names

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - frames and arrays
        """Return what the module gives: for a DataFrame a DataFrame with its index, else arrays.

        Raises:
            InvalidValue: The data are neither a DataFrame nor arrays, or ``params`` names the device.
        """
        if params and "device" in params:
            raise InvalidValue("the device is chosen when the model is loaded: model_config={'device': 'cuda'}")
        args, named = _arguments(self._torch, data, self._device)
        if named and self._takes_positions():
            args, named = tuple(named[name] for name in self._names if name in named), {}
        with self._torch.no_grad():
            answer = _arrays(self._torch, self.native(*args, **named, **(params or {})))
        if hasattr(data, "iloc") and getattr(answer, "ndim", 3) <= 2:
            import pandas  # noqa: PLC0415 - whose frame the data are

            return pandas.DataFrame(answer, index=data.index)
        return answer

    def _takes_positions(self) -> bool:
        """Tell whether what the signature names are places: the module was exported, or names them otherwise."""
        try:
            known = inspect.signature(self.native.forward).parameters
        except (TypeError, ValueError):
            return True
        return bool(self._names) and not set(self._names) <= set(known)


# -- tensors ------------------------------------------------------------------------------------------


def _arguments(torch: Any, data: Any, device: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:  # noqa: ANN401 - torch's
    """Return data as the arguments of a module: a frame or an array is one, a list or dict of arrays several."""
    if isinstance(data, Mapping):
        return (), {str(name): _tensor(torch, each, device) for name, each in data.items()}
    if isinstance(data, tuple | list):
        return tuple(_tensor(torch, each, device) for each in data), {}
    return (_tensor(torch, data, device),), {}


def _tensor(torch: Any, data: Any, device: Any) -> Any:  # noqa: ANN401 - torch's, pandas' and NumPy's
    if isinstance(data, torch.Tensor):
        return data.to(device)
    if hasattr(data, "iloc"):
        try:
            data = data.to_numpy(dtype="float32")
        except (TypeError, ValueError) as error:
            raise InvalidValue(f"the columns cannot become one tensor of float32: {error}") from None
    if not hasattr(data, "flags"):
        raise InvalidValue(f"a torch model is given a {type(data).__name__}: wanted a DataFrame, an array, or several")
    try:
        return torch.as_tensor(data if data.flags.writeable else data.copy()).to(device)
    except TypeError as error:
        raise InvalidValue(f"the array cannot become a tensor: {error}") from None


def _arrays(torch: Any, answer: Any) -> Any:  # noqa: ANN401 - whatever the module gives
    if isinstance(answer, torch.Tensor):
        answer = answer.detach().cpu()
        return (answer.float() if answer.dtype == torch.bfloat16 else answer).numpy()
    if isinstance(answer, Mapping):
        return {name: _arrays(torch, each) for name, each in answer.items()}
    if isinstance(answer, tuple | list):
        return [_arrays(torch, each) for each in answer]
    return answer


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:  # noqa: ANN401 - a module
    """Put a module in evaluation: what is exported while it trains would drop values for ever."""
    modes = {each: each.training for each in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for each, training in modes.items():
            each.training = training


# -- writing ------------------------------------------------------------------------------------------


def _write_what_fits(torch: Any, model: Any, data: Path, request: SaveRequest, kwargs: Any) -> dict[str, Any]:  # noqa: ANN401 - torch's
    """Write an exported graph, else weights."""
    reasons = []
    for name, write in (
        (_EXPORTED, lambda: _export(torch, model, data, request)),
        (_WEIGHTS, lambda: _write_weights(torch, model, data, kwargs, alone=True)),
    ):
        try:
            return write() or {}
        except InvalidValue as error:
            (data / name).unlink(missing_ok=True)
            reasons.append(str(error))
    raise InvalidValue(f"this {type(model).__name__} cannot be saved without more: {'; '.join(reasons)}. {_WAYS}")


def _export(torch: Any, model: Any, data: Path, request: SaveRequest) -> None:  # noqa: ANN401 - torch's
    """Trace a module with the example, and write its graph.

    Raises:
        InvalidValue: There is no example, or torch cannot trace the module.
    """
    if request.input_example is None:
        raise InvalidValue("it takes an input_example to export a graph")
    if isinstance(model, torch.jit.ScriptModule):
        raise InvalidValue("a ScriptModule is not exported as a graph")
    first = next(iter([*model.parameters(), *model.buffers()]), None)
    args, named = _arguments(torch, request.input_example, first.device if first is not None else "cpu")
    errors = []
    for times in (2, 1):  # what torch sees of one row, it takes for a constant
        tensors = [*args, *named.values()]
        if times > 1 and not all(each.ndim and each.shape[0] == 1 for each in tensors):
            continue
        many = [torch.cat([each] * times) if times > 1 else each for each in tensors]
        try:
            program = _traced(
                torch, model, tuple(many[: len(args)]), dict(zip(named, many[len(args) :], strict=True)), request
            )
            torch.export.save(program, data / _EXPORTED)
        except Exception as error:  # noqa: BLE001 - it runs the user's code, and torch raises whatever it likes
            errors.append(error)
        else:
            return
    raise InvalidValue(f"torch cannot export it ({type(errors[0]).__name__}: {first_line(errors[0])})") from errors[0]


def _traced(torch: Any, model: Any, args: tuple[Any, ...], named: dict[str, Any], request: SaveRequest) -> Any:  # noqa: ANN401 - torch's
    tensors = [*args, *named.values()]
    shapes = _free(request, len(tensors)) or [[-1] for _ in tensors]
    free = [
        {place: torch.export.Dim.AUTO for place, size in enumerate(shape) if size == -1 and place < each.ndim} or None
        for shape, each in zip(shapes, tensors, strict=True)
    ]
    spec = dict(zip(named, free, strict=True)) if named else tuple(free)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(model, args, named, dynamic_shapes=spec)


def _free(request: SaveRequest, count: int) -> list[Any] | None:
    """Return the shapes that the signature gives the tensors, where it has so many of them."""
    inputs = request.signature.inputs if request.signature is not None else None
    if inputs is None or not inputs.is_tensor_spec() or len(inputs) != count:
        return None
    return [each.shape for each in inputs.tensors()]


def _write_weights(torch: Any, model: Any, data: Path, kwargs: Any, *, alone: bool = False) -> dict[str, Any]:  # noqa: ANN401 - torch's
    """Write a module's weights, and return what tells how to make the module.

    Args:
        torch: The library.
        model: The module.
        data: Where to.
        kwargs: What its class is called with.
        alone: Nobody asked for weights: a class that other processes cannot import will not do.

    Raises:
        InvalidValue: The class, called so, makes no module for these weights.
    """
    made = type(model)
    name = f"{made.__module__}.{made.__qualname__}"
    if "<locals>" in name or (alone and made.__module__ == "__main__"):
        raise InvalidValue(f"its class {name} cannot be imported by others: move it into a module")
    kwargs = dict(kwargs if kwargs is not None else getattr(model, "hparams", None) or {})
    try:
        kwargs = json.loads(json.dumps(kwargs))
        with torch.device("meta"):
            fresh = {key: value.shape for key, value in made(**kwargs).state_dict().items()}
    except Exception as error:  # noqa: BLE001 - it runs the user's code
        given = ", ".join(kwargs) or "nothing"
        raise InvalidValue(
            f"its class {made.__qualname__} cannot be called with {given} ({first_line(error)})"
        ) from None
    if fresh != {key: value.shape for key, value in model.state_dict().items()}:
        raise InvalidValue(f"its class {made.__qualname__}, called with {kwargs}, has other weights than the model")
    imported("safetensors.torch", "safetensors", "pytorch").save_model(model, str(data / _WEIGHTS))
    return {"serialization_format": "safetensors", "model_class": name, "model_kwargs": kwargs}


def _write_pickle(torch: Any, model: Any, data: Path) -> None:  # noqa: ANN401 - torch's
    (data / _PICKLE_MODULE).write_text(_THEIR_PICKLE, encoding="utf-8")
    try:
        if isinstance(model, torch.jit.ScriptModule):
            model.save(str(data / _PICKLE))
        else:
            torch.save(model, data / _PICKLE, pickle_module=imported("cloudpickle", "cloudpickle"))
    except (pickle.PicklingError, TypeError, AttributeError, RuntimeError) as error:
        raise InvalidValue(f"a {type(model).__qualname__} cannot be pickled: {first_line(error)}") from error


# -- reading ------------------------------------------------------------------------------------------


def _read_exported(torch: Any, path: Path, _block: Mapping[str, Any], context: LoadContext, device: Any) -> Any:  # noqa: ANN401 - torch's
    if not context.trust.allows(path) and (found := suspicion(path, torch)):
        context.trust.require(path, f"a graph with more than arithmetic ({found})")
    with _readable(path):
        program = torch.export.load(path)
    model = program.module()
    there = {each.device.type for each in [*model.parameters(), *model.buffers()]}
    if device is not None and there - {torch.device(device).type}:
        model = _passes(torch)(program, device).module()
    return model


def _passes(torch: Any) -> Callable[[Any, Any], Any]:  # noqa: ANN401 - torch's
    found = getattr(importlib.import_module("torch.export.passes"), "move_to_device_pass", None)
    if found is None:
        raise InvalidValue(f"the model was exported on another device, and torch {torch.__version__} cannot move it")
    return found  # type: ignore[no-any-return]  # torch has no types here


def _read_weights(torch: Any, path: Path, block: Mapping[str, Any], context: LoadContext, device: Any) -> Any:  # noqa: ANN401 - torch's
    made = _class(torch, path.parents[1], str(block.get("model_class")), context)
    try:
        model = made(**(block.get("model_kwargs") or {}))
    except TypeError as error:
        raise InvalidValue(f"the class {block.get('model_class')} is not what it was: {error}") from None
    with _readable(path):
        imported("safetensors.torch", "safetensors", "pytorch").load_model(model, str(path))
    model.eval()
    return model.to(device) if device is not None else model


def _class(torch: Any, folder: Path, name: str, context: LoadContext) -> Any:  # noqa: ANN401 - torch's
    """Return the class of a module; one of code that this process has not imported itself only where it is trusted."""
    module, _, attribute = name.rpartition(".")
    if module not in sys.modules and module.partition(".")[0] != "torch":
        context.trust.require(folder / FILE, f"an MLmodel that names a class of other code, {name},")
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except (ImportError, ValueError) as error:
        raise InvalidValue(
            f"the class {name} of the model in {folder} cannot be imported ({error}): install what has it, or save the "
            "model with code_paths"
        ) from None
    if not isinstance(found, type) or not issubclass(found, torch.nn.Module):
        raise InvalidValue(f"the MLmodel of {folder} names the class {name}, which is no torch.nn.Module here")
    return found


def _read_pickle(torch: Any, path: Path, _block: Mapping[str, Any], context: LoadContext, device: Any) -> Any:  # noqa: ANN401 - torch's
    place = device or "cpu"
    if not context.trust.allows(path):
        try:
            model = torch.load(path, map_location=place, weights_only=True)  # what the user has named safe is enough
        except Exception:  # noqa: BLE001 - torch raises whatever it likes for what it refuses
            context.trust.require(path, "a pickle")
    else:
        with _readable(path):
            script = zipfile.is_zipfile(path) and any(
                name.endswith("/constants.pkl") for name in zipfile.ZipFile(path).namelist()
            )
            model = (
                torch.jit.load(str(path), map_location=place)
                if script
                else torch.load(path, map_location=place, weights_only=False, pickle_module=pickle)
            )
    return model.eval() if isinstance(model, torch.nn.Module) else model


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError, OSError, KeyError, AttributeError, ImportError, pickle.UnpicklingError) as error:
        raise InvalidValue(f"torch cannot read {path} ({type(error).__name__}: {first_line(error)})") from error


FLAVOR = PytorchFlavor()

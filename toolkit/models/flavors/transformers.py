"""Transformers: pipelines of Hugging Face, as weights in safetensors and the configuration of each component."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from toolkit.errors import InvalidValue
from toolkit.models.flavor import LoadContext, SavedFlavor, SaveRequest, class_modules, imported, part_of
from toolkit.models.messages import first_line
from toolkit.models.metadata import ModelMetadata

_MODEL = "model"
_COMPONENTS = ("tokenizer", "feature_extractor", "image_processor")
_AUTO = {
    "tokenizer": "AutoTokenizer",
    "feature_extractor": "AutoFeatureExtractor",
    "image_processor": "AutoImageProcessor",
    "processor": "AutoProcessor",
}
_ANSWERS = ("generated_text", "translation_text", "summary_text", "answer", "token_str", "text")
"""Keys of a pipeline's answers that hold the text that is meant."""
_TEMPLATE = "prompt_template"


class TransformersFlavor:
    """Pipelines of transformers, and their components."""

    name = "transformers"
    package = "transformers"
    modules = ("transformers",)
    loader_module = "mlflow.transformers"

    def takes(self, model: object) -> bool:
        """Tell whether a class of the model's is of transformers."""
        return "transformers" in class_modules(model)

    def save(self, model: Any, folder: Path, request: SaveRequest) -> SavedFlavor:  # noqa: ANN401 - a pipeline
        """Write a pipeline; a dict of components and the folder of a checkpoint are taken, too, with a ``task``.

        ``processor`` is saved beside it, ``model_config`` are arguments at each prediction, ``model_card`` is a text.
        With ``save_pretrained=False`` the weights stay where they came from: a repository, at one of its commits.

        Raises:
            InvalidValue: It is nothing of the kind, or its source is not known.
        """
        library = imported("transformers", self.package, self.name)
        options = request.read(
            task=None, processor=None, torch_dtype=None, model_config=None, model_card=None, save_pretrained=True
        )
        pipeline = _pipeline(library, model, options["task"])
        parts = {name: each for name in _COMPONENTS if (each := getattr(pipeline, name, None)) is not None}
        processor = {"processor": options["processor"]} if options["processor"] is not None else {}
        dtype = options["torch_dtype"] or getattr(pipeline.model, "dtype", None)
        block: dict[str, Any] = {
            "transformers_version": library.__version__,
            "task": pipeline.task,
            "instance_type": type(pipeline).__name__,
            "pipeline_model_type": type(pipeline.model).__name__,
            "source_model_name": pipeline.model.name_or_path,
            "components": list(parts),
            **{f"{name}_type": type(each).__name__ for name, each in {**parts, **processor}.items()},
        }
        if dtype is not None:
            block["torch_dtype"] = str(dtype)
        if getattr(pipeline, "framework", None):
            block["framework"] = pipeline.framework
        if options["save_pretrained"]:
            block["model_binary"] = _MODEL
            pipeline.model.save_pretrained(folder / _MODEL)
            for name, each in {**parts, **processor}.items():
                each.save_pretrained(folder / "components" / name)
        else:
            block |= _reference(pipeline.model, [*parts, *processor])
        if options["model_card"] is not None:
            (folder / "model_card.md").write_text(str(options["model_card"]), encoding="utf-8")
        config = {"config": dict(options["model_config"])} if options["model_config"] else {}
        return SavedFlavor(
            block=block,
            pyfunc=None if processor else config,
            requirements=("transformers", "torch", *(["torchvision"] if "image_processor" in parts else [])),
        )

    def load(self, folder: Path, block: Mapping[str, Any], context: LoadContext) -> Any:  # noqa: ANN401 - a pipeline
        """Return the pipeline; of a model that was saved with a processor a dict of its components.

        ``context.config`` may name a ``device``, and ``components`` as the ``return_type``.

        Raises:
            UntrustedModel: It would run code that is not trusted.
            InvalidValue: transformers or torch is not installed, or cannot read the files.
        """
        library = imported("transformers", self.package, self.name)
        imported("torch", "torch", "transformers")
        for key in ("peft_adaptor", "local_base_model_path"):
            if block.get(key):
                raise InvalidValue(f"the model in {folder} has a {key}: adapters without their model are not loaded")
        names = [*(block.get("components") or ()), *(["processor"] if block.get("processor_type") else [])]
        loader = _Loader(library, folder, block, context)
        try:
            parts = {"model": loader.model(), **{name: loader.component(name) for name in names}}
            if "processor" in parts or context.config.get("return_type") == "components":
                return {"task": block["task"], **parts}
            return library.pipeline(task=block["task"], **parts, device=context.config.get("device"))
        except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
            raise InvalidValue(
                f"transformers {library.__version__} cannot read the model in {folder}: {first_line(error)}"
            ) from error

    def predictor(self, folder: Path, metadata: ModelMetadata, context: LoadContext) -> TransformersPredictor:
        """Return what gives rows to the pipeline.

        Raises:
            InvalidValue: The model is for another protocol, or needs its processor to be called.
        """
        block = metadata.flavor(self.name)
        if block.get("inference_task"):
            raise InvalidValue(
                f"the model in {folder} answers {block['inference_task']}, a protocol of chats: load it as a pipeline"
            )
        native = self.load(folder, block, context)
        if isinstance(native, dict):
            raise InvalidValue(f"the model in {folder} has a processor, which a pipeline does not call: load its parts")
        config = {key: value for key, value in context.config.items() if key not in ("device", "return_type")}
        template = (metadata.metadata or {}).get(_TEMPLATE)
        return TransformersPredictor(native, config, template)


class TransformersPredictor:
    """A pipeline that is given rows, and whose answers are rows: texts, arrays, or labels and scores.

    Args:
        native: The pipeline.
        config: Its arguments each time, unless ``params`` has others.
        template: A text with ``{prompt}`` in it that each text is put into.
    """

    def __init__(self, native: Any, config: Mapping[str, Any], template: str | None) -> None:  # noqa: ANN401 - a pipeline
        self.native = native
        self._config = dict(config)
        self._template = template

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - what the task takes
        """Return what the pipeline answers, row by row.

        Args:
            data: A text, a list of texts or of dicts, a dict of arguments, or a DataFrame: of one column, or of
                columns that are the pipeline's arguments.
            params: Further arguments of the pipeline; ``include_prompt=False`` cuts the prompt off a text's beginning.

        Raises:
            InvalidValue: The pipeline does not take such data.
        """
        given = {**self._config, **(params or {})}
        include = given.pop("include_prompt", True)
        collapse = given.pop("collapse_whitespace", False)
        rows = _rows(data)
        if self._template:
            rows = [self._template.format(prompt=each) if isinstance(each, str) else each for each in rows]
        try:
            if rows and all(isinstance(each, Mapping) for each in rows) and not self._takes_pairs():
                answers = [self.native(**each, **given) for each in rows]
            else:
                answers = self.native(rows, **given)
        except (ValueError, TypeError, KeyError) as error:
            raise InvalidValue(
                f"the {self.native.task} pipeline does not take such data: {first_line(error)}"
            ) from error
        return self._told(answers, rows, include, collapse)

    def _takes_pairs(self) -> bool:
        """Tell whether a dict is one text with its pair, and not arguments of the pipeline."""
        return bool(self.native.task in ("text-classification", "sentiment-analysis"))

    def _told(self, answers: Any, rows: list[Any], include: bool, collapse: bool) -> Any:  # noqa: ANN401 - what it says
        if self.native.task == "feature-extraction":
            import numpy  # noqa: PLC0415 - for vectors alone

            return numpy.array([each[0][0] for each in answers])
        if self.native.task in ("token-classification", "ner"):
            return [",".join(str(each.get("entity_group") or each.get("entity")) for each in one) for one in answers]
        answers = [each[0] if isinstance(each, list) and each and not _ranked(each) else each for each in answers]
        if any(not isinstance(each, Mapping) for each in answers):
            return answers
        key = next((name for name in _ANSWERS if all(name in each for each in answers)), None)
        if key is None or (self.native.task != "fill-mask" and "label" in answers[0]):
            import pandas  # noqa: PLC0415 - for labels and scores alone

            return pandas.DataFrame(answers)
        texts = [each[key] for each in answers]
        if not include:
            texts = [
                text[len(row) :].lstrip() if isinstance(row, str) and str(text).startswith(row) else text
                for text, row in zip(texts, rows, strict=True)
            ]
        return [" ".join(text.split()) for text in texts] if collapse else texts


class _Loader:
    """Loads the parts of one model."""

    def __init__(self, library: Any, folder: Path, block: Mapping[str, Any], context: LoadContext) -> None:  # noqa: ANN401 - a module
        self._library = library
        self._folder = folder
        self._block = block
        self._context = context

    def model(self) -> Any:  # noqa: ANN401 - a model of transformers
        """Return the model, with its weights."""
        arguments: dict[str, Any] = {}
        if dtype := self._block.get("torch_dtype"):
            name = "dtype" if int(self._library.__version__.split(".")[0]) >= 5 else "torch_dtype"
            arguments[name] = getattr(
                imported("torch", "torch", "transformers"), str(dtype).removeprefix("torch."), None
            )
        kind = str(self._block.get("pipeline_model_type"))
        if self._block.get("source_model_revision"):
            place = str(self._block["source_model_name"])
            return self._made(kind, "AutoModel", place, revision=self._block["source_model_revision"], **arguments)
        path = part_of(self._folder, self._block.get("model_binary") or "pipeline")
        if not any(path.glob("*.safetensors")):
            self._context.trust.require(path, "a model with weights in a pickle")
        return self._made(kind, "AutoModel", path, **arguments)

    def component(self, name: str) -> Any:  # noqa: ANN401 - a tokenizer or the like
        """Return a tokenizer, an extractor or a processor."""
        kind = str(self._block.get(f"{name}_type"))
        auto = _AUTO.get(name, "AutoProcessor")
        if revision := self._block.get(f"{name}_revision"):
            return self._made(kind, auto, str(self._block.get(f"{name}_name")), revision=revision)
        return self._made(kind, auto, part_of(self._folder, f"components/{name}"))

    def _made(self, kind: str, auto: str, place: Path | str, **arguments: Any) -> Any:  # noqa: ANN401 - of many classes
        """Return an object of a class of transformers'; code that lies beside its files is run only where trusted."""
        found = getattr(self._library, kind, None)
        if not isinstance(found, type) or not hasattr(found, "from_pretrained"):
            where = place if isinstance(place, Path) else self._folder
            self._context.trust.require(where, f"a part with code of its own, {kind},")
            found = getattr(self._library, auto)
            arguments["trust_remote_code"] = True
        if isinstance(place, Path):
            arguments["local_files_only"] = True
        return found.from_pretrained(str(place), **arguments)


def _pipeline(library: Any, model: Any, task: str | None) -> Any:  # noqa: ANN401 - transformers'
    """Return the pipeline that somebody means.

    Raises:
        InvalidValue: It is none, and makes none.
    """
    if isinstance(model, library.Pipeline):
        return model
    if isinstance(model, dict | str | Path):
        if task is None:
            raise InvalidValue(
                "of components or a checkpoint it takes a task to make a pipeline, as in task='fill-mask'"
            )
        parts = model if isinstance(model, dict) else {"model": str(model), "tokenizer": str(model)}
        try:
            return library.pipeline(task=task, **parts)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InvalidValue(f"these parts make no pipeline for {task}: {first_line(error)}") from error
    raise InvalidValue(
        f"a {type(model).__name__} alone is no pipeline: give transformers.pipeline(task, model=..., tokenizer=...) or "
        "a dict of such parts with a task"
    )


def _reference(model: Any, parts: Iterable[str]) -> dict[str, Any]:  # noqa: ANN401 - a model
    """Return what tells where the weights are.

    Raises:
        InvalidValue: The model does not know.
    """
    commit = getattr(model.config, "_commit_hash", None)
    if not commit:
        raise InvalidValue(
            f"the model {model.name_or_path!r} does not come from a commit of a repository: save it with "
            "save_pretrained=True"
        )
    result = {"source_model_revision": commit}
    for name in parts:
        result |= {f"{name}_name": model.name_or_path, f"{name}_revision": commit}
    return result


def _rows(data: Any) -> list[Any]:  # noqa: ANN401 - what a user gives
    """Return data as a list of texts or of dicts of arguments."""
    if hasattr(data, "to_dict") and hasattr(data, "columns"):
        records = data.to_dict(orient="records")
        return [next(iter(each.values())) for each in records] if len(data.columns) == 1 else records
    if isinstance(data, str | bytes | Mapping):
        return [data]
    if hasattr(data, "tolist"):
        data = data.tolist()
    if not isinstance(data, list | tuple):
        raise InvalidValue(f"a pipeline is given a {type(data).__name__}: wanted texts, dicts or a DataFrame")
    return list(data)


def _ranked(answers: list[Any]) -> bool:
    """Tell whether a list has labels with their scores, of which all are meant."""
    return len(answers) > 1 and all(isinstance(each, Mapping) and "label" in each for each in answers)


FLAVOR = TransformersFlavor()

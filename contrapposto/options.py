"""Options as people type them: reading `key=value`, checking values against a signature, building objects of them."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Union

from contrapposto.errors import ConfigError, nearest

SPECIAL = ("_target_", "_partial_", "_convert_", "_recursive_")


def parse_value(text: str) -> Any:
    """The value of one `key=value`: numbers, booleans, null, lists and mappings as in YAML, all else as text.

    An existing file or folder of exactly this name is always text, whatever its name looks like.
    """
    import yaml
    from omegaconf._utils import get_yaml_loader

    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    if not text or "\0" in text or (len(text) < 4096 and _exists(text)):
        return text
    # `{a:1}` without spaces is a mapping here, as in Hydra's grammar; in YAML it is not.
    source = re.sub(r"([{,]\s*\w+):(?=\S)", r"\1: ", text) if text[0] == "{" else text
    try:
        value = yaml.load(source, Loader=get_yaml_loader())
    except yaml.YAMLError:
        return text
    structured = isinstance(value, list | dict) and text[0] in "[{"
    null = value is None and text.lower() in ("null", "none", "~")
    return value if structured or null or isinstance(value, bool | int | float) else text


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except OSError:  # for example a name that is too long
        return False


def check_options(kind: Callable[..., Any], options: Mapping[str, Any], prefix: str = "") -> None:
    """Check the names and types of options before anything is done with them.

    Args:
        kind: a class or function; options are its keyword arguments.
        options: by name; those of `SPECIAL` are skipped, and so are nodes that are built later (`_target_`).
        prefix: of the names in messages, for example `task.`.

    Raises:
        ConfigError: an unknown name, or a value that does not fit the argument's annotation.
    """
    try:
        parameters = inspect.signature(kind).parameters
    except ValueError:  # some built-in types have none
        return
    open_ended = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    names = [name for name in parameters if name != "self"]
    annotations = _annotations(kind)
    for name, value in options.items():
        if name in SPECIAL:
            continue
        if name not in parameters:
            if open_ended:
                continue
            raise ConfigError(f"There is no option {prefix}{name}.", expected=nearest(name, names))
        if isinstance(value, Mapping) and "_target_" in value:
            continue
        annotation = annotations.get(name, Any)
        if not fits(value, annotation):
            raise ConfigError(
                f"{prefix}{name}={value} cannot be used.",
                found=type(value).__name__,
                expected=describe(annotation),
            )


def _annotations(kind: Callable[..., Any]) -> dict[str, Any]:
    function = kind.__init__ if inspect.isclass(kind) else kind
    try:
        return typing.get_type_hints(function)
    except Exception:  # names that exist for the type checker only
        return {}


def fits(value: Any, annotation: Any) -> bool:
    """Whether a plain value may be passed where `annotation` stands; types that are not plain accept everything."""
    if annotation in (Any, inspect.Parameter.empty):
        return True
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (Union, types.UnionType):
        return any(fits(value, option) for option in arguments)
    if origin is Literal:
        return value in arguments
    if annotation in _PLAIN:
        return _PLAIN[annotation](value)
    container = origin or annotation
    if not inspect.isclass(container):
        return True
    if issubclass(container, Sequence):
        return _fits_sequence(value, container, arguments)
    return isinstance(value, Mapping) if issubclass(container, Mapping) else True


_PLAIN: dict[Any, Callable[[Any], bool]] = {
    None: lambda value: value is None,
    type(None): lambda value: value is None,
    bool: lambda value: isinstance(value, bool),
    int: lambda value: isinstance(value, int) and not isinstance(value, bool),
    float: lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    str: lambda value: isinstance(value, str | Path),
    Path: lambda value: isinstance(value, str | Path),
}


def _fits_sequence(value: Any, container: type, arguments: tuple[Any, ...]) -> bool:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return False
    if container is tuple and arguments and arguments[-1] is not Ellipsis:
        return len(value) == len(arguments) and all(map(fits, value, arguments))
    return not arguments or all(fits(item, arguments[0]) for item in value)


def describe(annotation: Any) -> str:
    """An annotation in words that a user understands."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(describe(option) for option in arguments))
    if origin is Literal:
        return ", ".join(map(str, arguments))
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "a path"}
    if annotation in words:
        return words[annotation]
    if annotation is type(None) or annotation is None:
        return "null"
    if origin is tuple and Ellipsis not in arguments and len(set(arguments)) == 1:
        return f"a list of {len(arguments)}: {describe(arguments[0])} each"
    if inspect.isclass(origin) and issubclass(origin, Sequence):
        return f"a list of {describe(arguments[0])}" if arguments else "a list"
    if inspect.isclass(origin or annotation) and issubclass(origin or annotation, Mapping):
        return "a mapping"
    return getattr(annotation, "__name__", str(annotation))


def locate(target: str) -> Any:
    """The class or function with this dotted path.

    Raises:
        ConfigError: there is none.
    """
    module, _, name = target.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"{target} cannot be imported.", found=str(error), expected="package.module.Name"
        ) from error


def build(node: Mapping[str, Any], prefix: str = "") -> Any:
    """Build the object that a plain mapping with `_target_` describes; its options are checked first.

    Mappings with `_target_` inside are built before it. `_partial_: true` gives a function that still takes arguments.

    Raises:
        ConfigError: see `check_options` and `locate`.
    """
    kind = locate(str(node["_target_"]))
    check_options(kind, node, prefix)
    options = {
        name: build(value, f"{prefix}{name}.")
        if isinstance(value, Mapping) and "_target_" in value
        else value
        for name, value in node.items()
        if name not in SPECIAL
    }
    return partial(kind, **options) if node.get("_partial_") else kind(**options)

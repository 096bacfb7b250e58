"""A file named by its content, so that it can be passed from tool to tool and from machine to machine.

Between machines an artifact is a small JSON object; the file itself travels apart from it. Where a tool receives
one, `Artifact.path` is the copy on its own machine.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import (
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    TypeAdapter,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from .errors import ArtifactUnavailable

ARTIFACT_KEY = "$artifact"
"""The key that marks a JSON object as an artifact; its value is the digest."""

RESOLVE_KEY = "constellation_tools.resolve"
"""Where pydantic's validation context holds the function that finds an artifact's local file."""

_DIGEST = re.compile(r"^[0-9a-f]{64}$")
_CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file by its content.

    Attributes:
        sha256: SHA-256 of the content, in lower-case hex.
        size: Length of the content in bytes.
        name: What people call the file; a label, never used as a path.
        media_type: Its MIME type, or empty when unknown.
    """

    sha256: str
    size: int = 0
    name: str = ""
    media_type: str = ""
    _path: Path | None = field(default=None, repr=False, compare=False, kw_only=True)

    def __post_init__(self) -> None:
        if not _DIGEST.fullmatch(self.sha256):
            raise ValueError(f"an artifact's sha256 is 64 lower-case hex digits, not {self.sha256[:80]!r}")
        if self.size < 0:
            raise ValueError(f"an artifact's size is a number of bytes, not {self.size}")

    @property
    def path(self) -> Path:
        """The file on this machine.

        Raises:
            ArtifactUnavailable: the artifact did not come to a tool as an argument, so no local file is known.
        """
        if self._path is None:
            raise ArtifactUnavailable(
                f"no local file is known for artifact {self.name or self.sha256[:12]!r}; "
                "take a ToolContext parameter and ask its path(artifact)"
            )
        return self._path

    def at(self, path: Path) -> Artifact:
        """Return the same artifact with `path` as its local file."""
        return replace(self, _path=path)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {ARTIFACT_KEY: self.sha256, "size": self.size, "name": self.name, "media_type": self.media_type}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Artifact:
        """Read the JSON form; unknown keys are ignored.

        Raises:
            ValueError: the digest or the size is not one.
            KeyError: there is no digest.
        """
        return cls(data[ARTIFACT_KEY], data.get("size", 0), data.get("name", ""), data.get("media_type", ""))

    @classmethod
    def of_file(cls, path: Path, *, name: str = "", media_type: str = "") -> Artifact:
        """Describe a file by reading it once; the name defaults to the file's own.

        Raises:
            OSError: the file can't be read.
        """
        digest = hashlib.sha256()
        size = 0
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
        return cls(digest.hexdigest(), size, name or path.name, media_type).at(path)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_wrap_validator_function(
            cls._validate,
            _JSON_FORM,
            ref="constellation_tools.Artifact",
            serialization=core_schema.plain_serializer_function_ser_schema(cls.to_json, return_schema=_JSON_FORM),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        json_schema = handler(_JSON_FORM)
        json_schema["description"] = "A file, by its content."
        return json_schema

    @classmethod
    def _validate(cls, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Artifact:
        artifact = value if isinstance(value, Artifact) else cls.from_json(handler(value))
        resolve: Callable[[Artifact], Path] | None = (info.context or {}).get(RESOLVE_KEY)
        return artifact if resolve is None else artifact.at(resolve(artifact))


def copied_into(directory: Path, source: Path | bytes) -> Path:
    """Write a file or bytes into a new file of a directory.

    Raises:
        OSError: it can't be read or written.
    """
    descriptor, copy = tempfile.mkstemp(dir=directory)
    with open(descriptor, "wb") as target:
        if isinstance(source, bytes):
            target.write(source)
        else:
            with source.open("rb") as file:
                shutil.copyfileobj(file, target)
    return Path(copy)


_JSON_FORM = core_schema.typed_dict_schema(
    {
        ARTIFACT_KEY: core_schema.typed_dict_field(core_schema.str_schema(pattern=_DIGEST.pattern)),
        "size": core_schema.typed_dict_field(core_schema.int_schema(ge=0), required=False),
        "name": core_schema.typed_dict_field(core_schema.str_schema(), required=False),
        "media_type": core_schema.typed_dict_field(core_schema.str_schema(), required=False),
    },
    extra_behavior="ignore",
)

# Lets pydantic write artifacts in their JSON form also where no type declares them, as inside `dict[str, Any]`.
Artifact.__pydantic_serializer__ = TypeAdapter(Artifact).serializer  # type: ignore[attr-defined]

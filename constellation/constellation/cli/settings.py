"""`constellation.toml`: which model is asked, what it may use, and keys of providers.

It is looked for in the present directory, then in `CONSTELLATION_HOME`. What the command line or the environment says
goes first.
"""

from __future__ import annotations

import os
import stat
import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from .errors import BadInput

FILE = "constellation.toml"

MODEL_VARIABLE = "CONSTELLATION_MODEL"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AskSettings(_Part):
    """The table `[ask]`: what `constellation ask` does when its options do not say."""

    model: str | None = None
    budget: tuple[str, ...] = ()
    edits: str | None = None
    approve: tuple[str, ...] = ()
    allow_tool: tuple[str, ...] = ()


class Settings(_Part):
    """The file.

    Attributes:
        ask: Defaults of `constellation ask`.
        keys: Keys by provider, such as `openai`.
        prices: US dollars per million tokens, `input,output`, by model string.
    """

    ask: AskSettings = Field(default_factory=AskSettings)
    keys: dict[str, SecretStr] = Field(default_factory=dict)
    prices: dict[str, str] = Field(default_factory=dict)

    def key_for(self, provider: str) -> str | None:
        """The key for a provider, where the environment has none."""
        if os.environ.get(key_variable(provider)):
            return None
        key = self.keys.get(provider)
        return key.get_secret_value() if key is not None else None


def key_variable(provider: str) -> str:
    """The variable of the environment that holds a provider's key."""
    return f"{provider.upper().replace('-', '_')}_API_KEY"


def read_settings() -> Settings:
    """The settings of the user.

    Raises:
        BadInput: the file can't be read, says what makes no sense, or holds keys that others can read.
    """
    from ..journal import default_home

    for path in (Path(FILE), default_home() / FILE):
        if path.is_file():
            return _read(path)
    return Settings()


def _read(path: Path) -> Settings:
    try:
        settings = Settings.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} can't be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{path}: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        known = "; there are [ask] with model, budget, edits, approve and allow_tool, [keys] and [prices]"
        raise BadInput(f"{path}: {place}: {first['msg'].lower()}{known}") from error
    if settings.keys and os.name == "posix":
        about = path.stat()
        if about.st_mode & (stat.S_IRWXG | stat.S_IRWXO) or about.st_uid != os.getuid():
            raise BadInput(f"{path} holds keys, and others can read it: chmod 600 {path}")
    return settings

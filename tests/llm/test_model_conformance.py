"""Our clients do what every client of language models has to do, over real sockets and through the real libraries."""

from __future__ import annotations

import pytest

from constellation.llm import ClientSettings, Model, open_model
from constellation.testing.models.conformance import KEY, ModelConformance, OpenModel

pytestmark = pytest.mark.e2e


class TestOpenAI(ModelConformance):
    @pytest.fixture
    def open_model(self) -> OpenModel:
        def opened(url: str, settings: ClientSettings) -> Model:
            return open_model(f"compatible/scripted@{url}", api_key=KEY, settings=settings)

        return opened


@pytest.mark.requires_module("litellm")
class TestLiteLLM(ModelConformance):
    @pytest.fixture
    def open_model(self) -> OpenModel:
        def opened(url: str, settings: ClientSettings) -> Model:
            return open_model(f"litellm/openai/scripted@{url}", api_key=KEY, settings=settings)

        return opened

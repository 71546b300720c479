"""Settings: read from the environment, checked, and indifferent to empty variables."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from data.settings import Settings


def test_defaults_need_no_environment(monkeypatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(f"WHYSCORE_{name.upper()}", raising=False)
    settings = Settings()
    assert settings.home == Path("whyscore-home")
    assert settings.store == f"sqlite:///{Path.cwd() / 'whyscore-home' / 'store.sqlite'}"
    assert all(field.description for field in Settings.model_fields.values())


def test_the_environment_is_read_and_an_empty_variable_is_none(monkeypatch):
    monkeypatch.setenv("WHYSCORE_THREADS", "")
    monkeypatch.setenv("WHYSCORE_HOME", "~/surveys")
    monkeypatch.setenv("WHYSCORE_STORE_URL", "postgresql://db/whyscore")
    settings = Settings()
    assert settings.threads is None
    assert settings.home == Path.home() / "surveys"
    assert settings.store == "postgresql://db/whyscore"


@pytest.mark.parametrize(
    ("name", "value"), [("THREADS", "0"), ("SCALE", "nps11"), ("MAX_TOKENS", "many"), ("MAX_BODY_MB", "-1")]
)
def test_wrong_values_are_refused_by_name(monkeypatch, name, value):
    monkeypatch.setenv(f"WHYSCORE_{name}", value)
    with pytest.raises(ValidationError, match=name.lower()):
        Settings()

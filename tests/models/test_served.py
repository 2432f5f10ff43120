"""Names of models behind servers, and which engine a name asks for."""

from __future__ import annotations

import pytest

from slm_atlas.errors import UserError
from slm_atlas.models.served import identify_served, parse
from slm_atlas.models.target import engine_for

HERE = "http://127.0.0.1:8000/v1"


def test_a_name_may_hold_what_servers_put_into_names() -> None:
    assert parse(f"endpoint:org/m@q4:135m@{HERE}/")[:2] == ("org/m@q4:135m", HERE)


@pytest.mark.parametrize(
    "model", ["endpoint:", "endpoint:m", "endpoint:m@", f"endpoint:@{HERE}", "endpoint:m@ftp://host", "endpoint:m@http://",
              "endpoint:m@http://host:99999/v1", "endpoint:m@http://host/v1?x=1", "endpoint:m@http://[::1/v1"]
)  # fmt: skip
def test_what_is_no_name_is_the_users_error(model: str) -> None:
    with pytest.raises(UserError, match=r"does not name a model and its server.*endpoint:"):
        parse(model)


def test_a_password_does_not_belong_into_a_url() -> None:
    with pytest.raises(UserError, match="SLM_ATLAS_API_KEY") as caught:
        parse("endpoint:m@http://me:s3cret@host/v1")
    assert "s3cret" not in str(caught.value)


def test_a_record_is_known_by_name_address_and_label() -> None:
    models = [
        f"endpoint:m@{HERE}",
        f"endpoint:n@{HERE}",
        f"endpoint:m@{HERE}#b2",
        "endpoint:m@http://127.0.0.1:8001/v1",
    ]
    records = [identify_served(model) for model in models]
    assert len({record.sha256 for record in records}) == len({record.name for record in records}) == 4
    assert identify_served(models[0]) == records[0]
    assert (records[0].params, records[0].size_bytes, records[0].model_id) == (None, None, None)


def test_models_name_their_engine() -> None:
    assert engine_for([f"endpoint:m@{HERE}"], None) == "endpoint"
    assert engine_for(["smollm-135m", "a.gguf"], None) == "llamacpp"
    assert engine_for(["opt-125m"], "transformers") == "transformers"
    assert engine_for(["opt-125m"], "fake") == "fake"
    with pytest.raises(UserError, match="different engines: endpoint, llamacpp"):
        engine_for([f"endpoint:m@{HERE}", "smollm-135m"], None)
    with pytest.raises(UserError, match="run by the engine endpoint"):
        engine_for([f"endpoint:m@{HERE}"], "llamacpp")
    with pytest.raises(UserError, match="does not name a model and its server"):
        engine_for(["smollm-135m"], "endpoint")

"""OpenFeature's provider for Python, against the local edge."""

import os

from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext

key = os.environ["KEY"]
api.set_provider(OFREPProvider(os.environ["EDGE"], headers_factory=lambda: {"Authorization": f"Bearer {key}"}))
client = api.get_client()


def somebody(name, **attributes):
    return EvaluationContext(targeting_key=name, attributes=attributes)


place = client.get_string_details("place", "x", somebody("a", country="US"))
assert (place.value, place.reason, place.variant) == ("states", "TARGETING_MATCH", "rule-0"), place
assert client.get_string_details("place", "x", somebody("a", country="FR")).reason == "DEFAULT"
assert client.get_float_value("price", 0.0, somebody("a")) == 9.5
assert client.get_object_value("look", {}, somebody("a")) == {"color": "red"}
assert client.get_string_value("unset", "of the code", somebody("a")) == "of the code"
assert {client.get_boolean_value("banner", False, somebody(f"user-{n}")) for n in range(40)} == {True, False}
missing = client.get_string_details("no such", "of the code", somebody("a"))
assert (missing.value, missing.error_code.value) == ("of the code", "FLAG_NOT_FOUND"), missing
print("The provider of PyPI agrees.")

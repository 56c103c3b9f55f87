import json

import pytest

from forecasting import Admission, find_admission, vouched_address
from forecasting.admission import ADMISSION_VARIABLE, read_admission
from forecasting.errors import UsageError

PUBLIC = Admission(True, readers=frozenset({"Ada@Example.org "}), operators=frozenset({"grace@example.org"}))


@pytest.mark.parametrize(
    ("address", "looks", "acts"),
    [
        ("ada@example.org", True, False),
        ("ADA@EXAMPLE.ORG", True, False),
        ("grace@example.org", True, True),
        ("Grace@Example.org", True, True),
        ("eve@example.org", False, False),
        ("ada@example.org.evil.test", False, False),
        ("grace@example.org\u200b", False, False),
        ("\u212aate@example.org", False, False),
        ("", False, False),
        (None, False, False),
    ],
)
def test_a_public_dashboard_admits_who_is_listed_and_only_operators_act(address, looks, acts):
    assert (PUBLIC.admits(address), PUBLIC.lets_act(address)) == (looks, acts)


def test_letters_that_unicode_folds_to_ascii_are_other_addresses():
    kelvin = "\u212aate@example.org"
    assert kelvin.lower() == "kate@example.org"
    assert not Admission(True, readers=frozenset({"kate@example.org"})).admits(kelvin)


def test_on_this_machine_everybody_looks_and_acts_unless_it_is_read_only():
    for address in (None, "eve@example.org"):
        assert Admission(public=False).admits(address)
        assert Admission(public=False).lets_act(address)
        assert Admission(public=False, read_only=True).admits(address)
        assert not Admission(public=False, read_only=True).lets_act(address)
    assert not Admission(True, True, operators=frozenset({"grace@example.org"})).lets_act("grace@example.org")


def test_rules_travel_as_text_and_nobody_is_let_in_by_what_is_not_them(monkeypatch):
    assert read_admission(PUBLIC.to_text()) == PUBLIC
    monkeypatch.delenv(ADMISSION_VARIABLE, raising=False)
    assert find_admission() == Admission(public=False)
    for text in ("", "{", "[]", "{}", "null", '{"public": false, "more": 1}', '{"public": true, "readers": [1]}'):
        monkeypatch.setenv(ADMISSION_VARIABLE, text)
        with pytest.raises(UsageError, match="next:"):
            find_admission()
    monkeypatch.setenv(ADMISSION_VARIABLE, json.dumps({"public": "no"}))
    assert not find_admission().admits("ada@example.org"), "what is unclear is closed"


@pytest.mark.parametrize(
    ("claims", "address"),
    [
        ({"email": "Ada@example.org"}, "ada@example.org"),
        ({"email": "ada@example.org", "email_verified": True}, "ada@example.org"),
        ({"email": "ada@example.org", "email_verified": "true"}, "ada@example.org"),
        ({"email": "ada@example.org", "email_verified": False}, None),
        ({"email": "ada@example.org", "email_verified": " False"}, None),
        ({"email": ["ada@example.org"]}, None),
        ({"email": ""}, None),
        ({"preferred_username": "ada@example.org"}, None),
        ({}, None),
    ],
)
def test_an_address_counts_unless_the_provider_refutes_it(claims, address):
    assert vouched_address(claims) == address

"""The small parts of the configuration: durations, times, names, and names that mean a person."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit.config.names import identity_in, is_name, quasi_identity_in
from bandit.config.units import format_duration, format_time, parse_duration, parse_time

SECOND_US = 1_000_000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("5m", 300),
        ("24h", 86_400),
        ("30d", 2_592_000),
        ("1w", 604_800),
        ("0s", 0),
        ("007m", 420),
    ],
)
def test_durations(text: str, seconds: int) -> None:
    """A whole number and a unit."""
    assert parse_duration(text) == seconds * SECOND_US


@pytest.mark.parametrize(
    "text", ["", "24", "h", "1.5h", "-1d", " 1d", "1d ", "1 d", "1D", "1h30m", "١d", "1y", "9" * 13 + "s"]
)
def test_what_is_no_duration(text: str) -> None:
    """Fractions, signs, spaces, sums, other digits and other units are not durations."""
    assert parse_duration(text) is None


@given(st.integers(1, 10**9))
def test_durations_there_and_back(seconds: int) -> None:
    """A written duration means the same number of seconds."""
    assert parse_duration(format_duration(seconds * SECOND_US)) == seconds * SECOND_US


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-12-01T00:00:00Z", 1_796_083_200 * SECOND_US),
        ("2026-12-01 01:00:00+01:00", 1_796_083_200 * SECOND_US),
        ("2026-12-01t00:00:00.000001z", 1_796_083_200 * SECOND_US + 1),
    ],
)
def test_times(text: str, expected: int) -> None:
    """RFC 3339 with `T` or a space, `Z` or an offset, and fractions."""
    assert parse_time(text) == expected


NO_TIMES: list[str | datetime] = [
    "2026-12-01", "2026-12-01T00:00:00", "2026-12-01T00:00Z", "2026-13-01T00:00:00Z", "now",
    "2026-02-29T00:00:00Z", "2026-12-01T24:00:00Z", "1969-12-31T23:59:59Z", "2100-01-01T00:00:01Z",
    "0001-01-01T00:00:00+23:59",
    datetime(2026, 12, 1),  # noqa: DTZ001 - without a zone on purpose
]  # fmt: skip


@pytest.mark.parametrize("value", NO_TIMES)
def test_what_is_no_time(value: str | datetime) -> None:
    """No zone, no such day, and years that can only be slips."""
    assert parse_time(value) is None


@given(st.datetimes(datetime(1970, 1, 2), datetime(2099, 12, 30)), st.integers(-1439, 1439))  # noqa: DTZ001 - a zone is added
def test_times_there_and_back(naive: datetime, offset_minutes: int) -> None:
    """A time in any zone, as a datetime or as text, is the same number, and so is what is written of it."""
    aware = naive.replace(tzinfo=timezone(timedelta(minutes=offset_minutes)))
    time_us = parse_time(aware)
    assert time_us is not None
    assert parse_time(format_time(time_us)) == time_us
    assert parse_time(aware.isoformat()) == time_us or naive.microsecond
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us) == aware


@pytest.mark.parametrize("name", ["a", "home-hero", "Home_2.v1:x", "_x", "7", "a" * 64])
def test_names(name: str) -> None:
    """Letters, digits and four signs, up to 64."""
    assert is_name(name)


@pytest.mark.parametrize("name", ["", "a b", "-a", ".a", "a/b", "ä", "a\n", "a" * 65, "a=b", "a#1", "a\0"])
def test_what_is_no_name(name: str) -> None:
    """Spaces, other scripts, and the signs that columns are named with."""
    assert not is_name(name)


IDENTITIES = """
    email EMAIL eMail e_mail emails customerEmail customer-email CUSTOMER_EMAIL email2 emailaddress
    billing.email.hash phone phone_number PhoneNumbers mobilePhone msisdn user_id userId UserID userid
    user-ids uid visitor_id customerID session_id deviceId cookie_id ip IP ipAddress client_ip ip_v4
    ipv6 name full_name firstName lastname surname user_name username address street_address
    shippingAddress date_of_birth dob birthday ssn passport_no iban id uuid visitor gps lat_lon
    account_number member-no
""".split()


@pytest.mark.parametrize("feature", IDENTITIES)
def test_identities(feature: str) -> None:
    """Names of a person's identity, however they are written."""
    assert identity_in(feature) is not None


ORDINARY = """
    platform country history returning campaign_name product_id page-name segment shipping tip
    clip_length zip_code session_count user_type is_customer order_no category_id device device_type
    visits age basket gender idle_minutes named_sale subscriber recency emphasis mens womens newbie
""".split()


@pytest.mark.parametrize("feature", ORDINARY)
def test_what_is_no_identity(feature: str) -> None:
    """Ordinary features, also ones that contain the letters of an identity."""
    assert identity_in(feature) is None


@pytest.mark.parametrize(
    ("feature", "part"), [("zip_code", "zip"), ("homePostcode", "postcode"), ("LAT", "lat")]
)
def test_what_finds_a_person(feature: str, part: str) -> None:
    """Places are allowed, and warned of."""
    assert identity_in(feature) is None
    assert quasi_identity_in(feature) == part

"""Responses written field by field are what protobuf would write."""

from hypothesis import given
from hypothesis import strategies as st

from bandit.engine import Choice
from bandit.limits import PAYLOAD_BYTES_MAX
from server.codec import encode_choice
from server.pb import bandit_pb2 as pb

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


@given(
    decision_id=st.text("abcXYZ019-_", min_size=1, max_size=4096),
    arm=TEXT,
    policy=TEXT,
    propensity=st.floats(0.0, 1.0, exclude_min=True),
    payload=TEXT | st.integers(0, PAYLOAD_BYTES_MAX).map(lambda size: "x" * size),
)
def test_a_choice_is_its_response(
    decision_id: str, arm: str, policy: str, propensity: float, payload: str
) -> None:
    """For any texts and lengths: byte for byte the serialised ChooseResponse, which parses again."""
    response = pb.ChooseResponse(
        decision_id=decision_id, arm=arm, policy=policy, propensity=propensity, payload=payload
    )
    written = encode_choice(Choice(decision_id, arm, policy, propensity, payload))
    assert written == response.SerializeToString()
    assert pb.ChooseResponse.FromString(written) == response

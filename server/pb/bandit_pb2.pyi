import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import status_pb2 as _status_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RewardOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REWARD_OUTCOME_UNSPECIFIED: _ClassVar[RewardOutcome]
    REWARD_OUTCOME_APPLIED: _ClassVar[RewardOutcome]
    REWARD_OUTCOME_DUPLICATE: _ClassVar[RewardOutcome]
    REWARD_OUTCOME_LATE: _ClassVar[RewardOutcome]
    REWARD_OUTCOME_UNRECORDED: _ClassVar[RewardOutcome]

class ArmState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ARM_STATE_UNSPECIFIED: _ClassVar[ArmState]
    ARM_STATE_ACTIVE: _ClassVar[ArmState]
    ARM_STATE_DRAINING: _ClassVar[ArmState]
    ARM_STATE_RETIRED: _ClassVar[ArmState]

class PolicyKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    POLICY_KIND_UNSPECIFIED: _ClassVar[PolicyKind]
    POLICY_KIND_STATIC: _ClassVar[PolicyKind]
    POLICY_KIND_UNIFORM: _ClassVar[PolicyKind]
    POLICY_KIND_THOMPSON: _ClassVar[PolicyKind]
    POLICY_KIND_LINEAR_THOMPSON: _ClassVar[PolicyKind]
    POLICY_KIND_LINUCB: _ClassVar[PolicyKind]

class RampState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RAMP_STATE_UNSPECIFIED: _ClassVar[RampState]
    RAMP_STATE_RUNNING: _ClassVar[RampState]
    RAMP_STATE_HELD: _ClassVar[RampState]
    RAMP_STATE_STATIC: _ClassVar[RampState]
    RAMP_STATE_WAITING: _ClassVar[RampState]
REWARD_OUTCOME_UNSPECIFIED: RewardOutcome
REWARD_OUTCOME_APPLIED: RewardOutcome
REWARD_OUTCOME_DUPLICATE: RewardOutcome
REWARD_OUTCOME_LATE: RewardOutcome
REWARD_OUTCOME_UNRECORDED: RewardOutcome
ARM_STATE_UNSPECIFIED: ArmState
ARM_STATE_ACTIVE: ArmState
ARM_STATE_DRAINING: ArmState
ARM_STATE_RETIRED: ArmState
POLICY_KIND_UNSPECIFIED: PolicyKind
POLICY_KIND_STATIC: PolicyKind
POLICY_KIND_UNIFORM: PolicyKind
POLICY_KIND_THOMPSON: PolicyKind
POLICY_KIND_LINEAR_THOMPSON: PolicyKind
POLICY_KIND_LINUCB: PolicyKind
RAMP_STATE_UNSPECIFIED: RampState
RAMP_STATE_RUNNING: RampState
RAMP_STATE_HELD: RampState
RAMP_STATE_STATIC: RampState
RAMP_STATE_WAITING: RampState

class ChooseRequest(_message.Message):
    __slots__ = ("placement", "unit", "categories", "numbers", "arms", "defer_exposure")
    class CategoriesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class NumbersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    PLACEMENT_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    ARMS_FIELD_NUMBER: _ClassVar[int]
    DEFER_EXPOSURE_FIELD_NUMBER: _ClassVar[int]
    placement: str
    unit: str
    categories: _containers.ScalarMap[str, str]
    numbers: _containers.ScalarMap[str, float]
    arms: _containers.RepeatedScalarFieldContainer[str]
    defer_exposure: bool
    def __init__(self, placement: _Optional[str] = ..., unit: _Optional[str] = ..., categories: _Optional[_Mapping[str, str]] = ..., numbers: _Optional[_Mapping[str, float]] = ..., arms: _Optional[_Iterable[str]] = ..., defer_exposure: _Optional[bool] = ...) -> None: ...

class ChooseResponse(_message.Message):
    __slots__ = ("decision_id", "arm", "policy", "propensity", "payload")
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    ARM_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    PROPENSITY_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    decision_id: str
    arm: str
    policy: str
    propensity: float
    payload: str
    def __init__(self, decision_id: _Optional[str] = ..., arm: _Optional[str] = ..., policy: _Optional[str] = ..., propensity: _Optional[float] = ..., payload: _Optional[str] = ...) -> None: ...

class ChooseBatchRequest(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[ChooseRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[ChooseRequest, _Mapping]]] = ...) -> None: ...

class ChooseBatchResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ChooseResult]
    def __init__(self, results: _Optional[_Iterable[_Union[ChooseResult, _Mapping]]] = ...) -> None: ...

class ChooseResult(_message.Message):
    __slots__ = ("response", "error")
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    response: ChooseResponse
    error: _status_pb2.Status
    def __init__(self, response: _Optional[_Union[ChooseResponse, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class RewardRequest(_message.Message):
    __slots__ = ("decision_id", "event", "value", "event_id")
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    decision_id: str
    event: str
    value: float
    event_id: str
    def __init__(self, decision_id: _Optional[str] = ..., event: _Optional[str] = ..., value: _Optional[float] = ..., event_id: _Optional[str] = ...) -> None: ...

class RewardResponse(_message.Message):
    __slots__ = ("outcome",)
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    outcome: RewardOutcome
    def __init__(self, outcome: _Optional[_Union[RewardOutcome, str]] = ...) -> None: ...

class RewardBatchRequest(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[RewardRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[RewardRequest, _Mapping]]] = ...) -> None: ...

class RewardBatchResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[RewardResult]
    def __init__(self, results: _Optional[_Iterable[_Union[RewardResult, _Mapping]]] = ...) -> None: ...

class RewardResult(_message.Message):
    __slots__ = ("response", "error")
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    response: RewardResponse
    error: _status_pb2.Status
    def __init__(self, response: _Optional[_Union[RewardResponse, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class ListPlacementsRequest(_message.Message):
    __slots__ = ("placements",)
    PLACEMENTS_FIELD_NUMBER: _ClassVar[int]
    placements: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, placements: _Optional[_Iterable[str]] = ...) -> None: ...

class ListPlacementsResponse(_message.Message):
    __slots__ = ("placements",)
    PLACEMENTS_FIELD_NUMBER: _ClassVar[int]
    placements: _containers.RepeatedCompositeFieldContainer[PlacementStatus]
    def __init__(self, placements: _Optional[_Iterable[_Union[PlacementStatus, _Mapping]]] = ...) -> None: ...

class PlacementStatus(_message.Message):
    __slots__ = ("name", "owner", "schema_id", "decisions", "arms", "policies", "ramp")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_ID_FIELD_NUMBER: _ClassVar[int]
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    ARMS_FIELD_NUMBER: _ClassVar[int]
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    RAMP_FIELD_NUMBER: _ClassVar[int]
    name: str
    owner: str
    schema_id: str
    decisions: int
    arms: _containers.RepeatedCompositeFieldContainer[ArmStatus]
    policies: _containers.RepeatedCompositeFieldContainer[PolicyStatus]
    ramp: RampStatus
    def __init__(self, name: _Optional[str] = ..., owner: _Optional[str] = ..., schema_id: _Optional[str] = ..., decisions: _Optional[int] = ..., arms: _Optional[_Iterable[_Union[ArmStatus, _Mapping]]] = ..., policies: _Optional[_Iterable[_Union[PolicyStatus, _Mapping]]] = ..., ramp: _Optional[_Union[RampStatus, _Mapping]] = ...) -> None: ...

class ArmStatus(_message.Message):
    __slots__ = ("id", "state", "weight", "exposures", "mean_reward")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    EXPOSURES_FIELD_NUMBER: _ClassVar[int]
    MEAN_REWARD_FIELD_NUMBER: _ClassVar[int]
    id: str
    state: ArmState
    weight: float
    exposures: int
    mean_reward: float
    def __init__(self, id: _Optional[str] = ..., state: _Optional[_Union[ArmState, str]] = ..., weight: _Optional[float] = ..., exposures: _Optional[int] = ..., mean_reward: _Optional[float] = ...) -> None: ...

class PolicyStatus(_message.Message):
    __slots__ = ("name", "kind", "share")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: PolicyKind
    share: float
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[_Union[PolicyKind, str]] = ..., share: _Optional[float] = ...) -> None: ...

class RampStatus(_message.Message):
    __slots__ = ("share", "start_time", "state", "moves", "to", "end_time", "gate")
    SHARE_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    MOVES_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    GATE_FIELD_NUMBER: _ClassVar[int]
    share: float
    start_time: _timestamp_pb2.Timestamp
    state: RampState
    moves: _containers.RepeatedCompositeFieldContainer[RampMove]
    to: float
    end_time: _timestamp_pb2.Timestamp
    gate: GateStatus
    def __init__(self, share: _Optional[float] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., state: _Optional[_Union[RampState, str]] = ..., moves: _Optional[_Iterable[_Union[RampMove, _Mapping]]] = ..., to: _Optional[float] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., gate: _Optional[_Union[GateStatus, _Mapping]] = ...) -> None: ...

class GateStatus(_message.Message):
    __slots__ = ("time", "next_time", "exposures", "min_exposures", "max_loss", "static_value", "uplift", "week_uplift", "sentence")
    TIME_FIELD_NUMBER: _ClassVar[int]
    NEXT_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPOSURES_FIELD_NUMBER: _ClassVar[int]
    MIN_EXPOSURES_FIELD_NUMBER: _ClassVar[int]
    MAX_LOSS_FIELD_NUMBER: _ClassVar[int]
    STATIC_VALUE_FIELD_NUMBER: _ClassVar[int]
    UPLIFT_FIELD_NUMBER: _ClassVar[int]
    WEEK_UPLIFT_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    next_time: _timestamp_pb2.Timestamp
    exposures: int
    min_exposures: int
    max_loss: float
    static_value: float
    uplift: Interval
    week_uplift: Interval
    sentence: str
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., next_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., exposures: _Optional[int] = ..., min_exposures: _Optional[int] = ..., max_loss: _Optional[float] = ..., static_value: _Optional[float] = ..., uplift: _Optional[_Union[Interval, _Mapping]] = ..., week_uplift: _Optional[_Union[Interval, _Mapping]] = ..., sentence: _Optional[str] = ...) -> None: ...

class RampMove(_message.Message):
    __slots__ = ("time", "state", "reason", "actor")
    TIME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    state: RampState
    reason: str
    actor: str
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., state: _Optional[_Union[RampState, str]] = ..., reason: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class ReloadConfigRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReloadConfigResponse(_message.Message):
    __slots__ = ("placement_count", "added", "removed", "changed", "warnings")
    PLACEMENT_COUNT_FIELD_NUMBER: _ClassVar[int]
    ADDED_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    placement_count: int
    added: _containers.RepeatedScalarFieldContainer[str]
    removed: _containers.RepeatedScalarFieldContainer[str]
    changed: _containers.RepeatedScalarFieldContainer[str]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, placement_count: _Optional[int] = ..., added: _Optional[_Iterable[str]] = ..., removed: _Optional[_Iterable[str]] = ..., changed: _Optional[_Iterable[str]] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class HoldRampRequest(_message.Message):
    __slots__ = ("placement", "reason", "actor", "back_to_static")
    PLACEMENT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    BACK_TO_STATIC_FIELD_NUMBER: _ClassVar[int]
    placement: str
    reason: str
    actor: str
    back_to_static: bool
    def __init__(self, placement: _Optional[str] = ..., reason: _Optional[str] = ..., actor: _Optional[str] = ..., back_to_static: _Optional[bool] = ...) -> None: ...

class HoldRampResponse(_message.Message):
    __slots__ = ("ramp",)
    RAMP_FIELD_NUMBER: _ClassVar[int]
    ramp: RampStatus
    def __init__(self, ramp: _Optional[_Union[RampStatus, _Mapping]] = ...) -> None: ...

class ResumeRampRequest(_message.Message):
    __slots__ = ("placement", "reason", "actor")
    PLACEMENT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    placement: str
    reason: str
    actor: str
    def __init__(self, placement: _Optional[str] = ..., reason: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class ResumeRampResponse(_message.Message):
    __slots__ = ("ramp",)
    RAMP_FIELD_NUMBER: _ClassVar[int]
    ramp: RampStatus
    def __init__(self, ramp: _Optional[_Union[RampStatus, _Mapping]] = ...) -> None: ...

class GetReportRequest(_message.Message):
    __slots__ = ("placement",)
    PLACEMENT_FIELD_NUMBER: _ClassVar[int]
    placement: str
    def __init__(self, placement: _Optional[str] = ...) -> None: ...

class GetReportResponse(_message.Message):
    __slots__ = ("placement", "begin_time", "decisions", "confidence", "min_exposures", "policies", "ladder", "time", "ramp", "next_step", "arms", "days", "features", "owner")
    PLACEMENT_FIELD_NUMBER: _ClassVar[int]
    BEGIN_TIME_FIELD_NUMBER: _ClassVar[int]
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    MIN_EXPOSURES_FIELD_NUMBER: _ClassVar[int]
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    LADDER_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    RAMP_FIELD_NUMBER: _ClassVar[int]
    NEXT_STEP_FIELD_NUMBER: _ClassVar[int]
    ARMS_FIELD_NUMBER: _ClassVar[int]
    DAYS_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    placement: str
    begin_time: _timestamp_pb2.Timestamp
    decisions: int
    confidence: float
    min_exposures: int
    policies: _containers.RepeatedCompositeFieldContainer[PolicyReport]
    ladder: _containers.RepeatedCompositeFieldContainer[LadderStep]
    time: _timestamp_pb2.Timestamp
    ramp: RampStatus
    next_step: str
    arms: _containers.RepeatedCompositeFieldContainer[ArmReport]
    days: _containers.RepeatedCompositeFieldContainer[DayReport]
    features: _containers.RepeatedCompositeFieldContainer[FeatureReport]
    owner: str
    def __init__(self, placement: _Optional[str] = ..., begin_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., decisions: _Optional[int] = ..., confidence: _Optional[float] = ..., min_exposures: _Optional[int] = ..., policies: _Optional[_Iterable[_Union[PolicyReport, _Mapping]]] = ..., ladder: _Optional[_Iterable[_Union[LadderStep, _Mapping]]] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ramp: _Optional[_Union[RampStatus, _Mapping]] = ..., next_step: _Optional[str] = ..., arms: _Optional[_Iterable[_Union[ArmReport, _Mapping]]] = ..., days: _Optional[_Iterable[_Union[DayReport, _Mapping]]] = ..., features: _Optional[_Iterable[_Union[FeatureReport, _Mapping]]] = ..., owner: _Optional[str] = ...) -> None: ...

class ArmReport(_message.Message):
    __slots__ = ("id", "state", "weight", "exposures", "reward", "events", "shown_by_policy")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    EXPOSURES_FIELD_NUMBER: _ClassVar[int]
    REWARD_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    SHOWN_BY_POLICY_FIELD_NUMBER: _ClassVar[int]
    id: str
    state: ArmState
    weight: float
    exposures: int
    reward: Interval
    events: _containers.RepeatedCompositeFieldContainer[EventCount]
    shown_by_policy: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, id: _Optional[str] = ..., state: _Optional[_Union[ArmState, str]] = ..., weight: _Optional[float] = ..., exposures: _Optional[int] = ..., reward: _Optional[_Union[Interval, _Mapping]] = ..., events: _Optional[_Iterable[_Union[EventCount, _Mapping]]] = ..., shown_by_policy: _Optional[_Iterable[int]] = ...) -> None: ...

class EventCount(_message.Message):
    __slots__ = ("event", "count", "value")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    event: str
    count: int
    value: float
    def __init__(self, event: _Optional[str] = ..., count: _Optional[int] = ..., value: _Optional[float] = ...) -> None: ...

class EventEstimate(_message.Message):
    __slots__ = ("event", "value", "uplift")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    UPLIFT_FIELD_NUMBER: _ClassVar[int]
    event: str
    value: Interval
    uplift: Interval
    def __init__(self, event: _Optional[str] = ..., value: _Optional[_Union[Interval, _Mapping]] = ..., uplift: _Optional[_Union[Interval, _Mapping]] = ...) -> None: ...

class DayReport(_message.Message):
    __slots__ = ("date", "share", "policies", "arms")
    DATE_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    ARMS_FIELD_NUMBER: _ClassVar[int]
    date: str
    share: float
    policies: _containers.RepeatedCompositeFieldContainer[PolicyDay]
    arms: _containers.RepeatedCompositeFieldContainer[ArmDay]
    def __init__(self, date: _Optional[str] = ..., share: _Optional[float] = ..., policies: _Optional[_Iterable[_Union[PolicyDay, _Mapping]]] = ..., arms: _Optional[_Iterable[_Union[ArmDay, _Mapping]]] = ...) -> None: ...

class PolicyDay(_message.Message):
    __slots__ = ("served", "reward", "events", "uplift")
    SERVED_FIELD_NUMBER: _ClassVar[int]
    REWARD_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    UPLIFT_FIELD_NUMBER: _ClassVar[int]
    served: int
    reward: float
    events: _containers.RepeatedCompositeFieldContainer[EventCount]
    uplift: Interval
    def __init__(self, served: _Optional[int] = ..., reward: _Optional[float] = ..., events: _Optional[_Iterable[_Union[EventCount, _Mapping]]] = ..., uplift: _Optional[_Union[Interval, _Mapping]] = ...) -> None: ...

class ArmDay(_message.Message):
    __slots__ = ("exposures", "reward", "events")
    EXPOSURES_FIELD_NUMBER: _ClassVar[int]
    REWARD_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    exposures: int
    reward: float
    events: _containers.RepeatedCompositeFieldContainer[EventCount]
    def __init__(self, exposures: _Optional[int] = ..., reward: _Optional[float] = ..., events: _Optional[_Iterable[_Union[EventCount, _Mapping]]] = ...) -> None: ...

class FeatureReport(_message.Message):
    __slots__ = ("name", "importance", "chance")
    NAME_FIELD_NUMBER: _ClassVar[int]
    IMPORTANCE_FIELD_NUMBER: _ClassVar[int]
    CHANCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    importance: float
    chance: float
    def __init__(self, name: _Optional[str] = ..., importance: _Optional[float] = ..., chance: _Optional[float] = ...) -> None: ...

class PolicyReport(_message.Message):
    __slots__ = ("name", "kind", "share", "served", "overlap", "effective_size", "weight_alarm", "label", "value", "uplift", "routed_uplift", "events", "counts")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    SERVED_FIELD_NUMBER: _ClassVar[int]
    OVERLAP_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_SIZE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_ALARM_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    UPLIFT_FIELD_NUMBER: _ClassVar[int]
    ROUTED_UPLIFT_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: PolicyKind
    share: float
    served: int
    overlap: float
    effective_size: float
    weight_alarm: bool
    label: str
    value: Interval
    uplift: Interval
    routed_uplift: Interval
    events: _containers.RepeatedCompositeFieldContainer[EventEstimate]
    counts: _containers.RepeatedCompositeFieldContainer[EventCount]
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[_Union[PolicyKind, str]] = ..., share: _Optional[float] = ..., served: _Optional[int] = ..., overlap: _Optional[float] = ..., effective_size: _Optional[float] = ..., weight_alarm: _Optional[bool] = ..., label: _Optional[str] = ..., value: _Optional[_Union[Interval, _Mapping]] = ..., uplift: _Optional[_Union[Interval, _Mapping]] = ..., routed_uplift: _Optional[_Union[Interval, _Mapping]] = ..., events: _Optional[_Iterable[_Union[EventEstimate, _Mapping]]] = ..., counts: _Optional[_Iterable[_Union[EventCount, _Mapping]]] = ...) -> None: ...

class Interval(_message.Message):
    __slots__ = ("mean", "low", "high")
    MEAN_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    mean: float
    low: float
    high: float
    def __init__(self, mean: _Optional[float] = ..., low: _Optional[float] = ..., high: _Optional[float] = ...) -> None: ...

class LadderStep(_message.Message):
    __slots__ = ("policy", "before", "difference", "sentence")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_FIELD_NUMBER: _ClassVar[int]
    policy: str
    before: str
    difference: Interval
    sentence: str
    def __init__(self, policy: _Optional[str] = ..., before: _Optional[str] = ..., difference: _Optional[_Union[Interval, _Mapping]] = ..., sentence: _Optional[str] = ...) -> None: ...

class TakeSnapshotRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TakeSnapshotResponse(_message.Message):
    __slots__ = ("file", "sequence", "size_bytes")
    FILE_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    file: str
    sequence: int
    size_bytes: int
    def __init__(self, file: _Optional[str] = ..., sequence: _Optional[int] = ..., size_bytes: _Optional[int] = ...) -> None: ...

"""Every bound of the core, with its unit (last in the name), its reason and its precedent."""

ARMS_MAX = 256
"""Arms a placement. A Choose scores all of them: with 64 features set, a model of 256 costs 0.9 ms."""

COLUMNS_MAX = 256
"""Columns of the feature vector x. A is columns² float64 an arm, and refactorising is columns³ / 3."""

FEATURES_MAX = 64
"""Features a placement: each sets one entry of x, and x travels in every token."""

POLICIES_MAX = 8
"""Policies a placement, `static` included: each one's probability travels in every token."""

PLACEMENTS_MAX = 1000
"""Placements a process."""

EVENTS_MAX = 16
"""Kinds of event a placement: the ledger keeps four bits for them."""

STRATA_MAX = 16
"""Strata a placement learns separately; beyond them thompson answers as static."""

BATCH_MAX = 256
"""Items in one batch call. Nothing else is served meanwhile: 10 ms at 10 arms and 32 columns, about a second
for each linear model of the largest placement that is accepted."""

NAME_BYTES_MAX = 64
"""Bytes of a placement's, arm's, feature's, policy's or event's name. As a Kubernetes label value (63)."""

PAYLOAD_BYTES_MAX = 12_288
"""Bytes of an arm's payload: 256 in one reply stay below the 4 MiB that gRPC clients take by default."""

CONTEXT_ENTRIES_MAX = 256
"""Categories plus numbers in one request: four times FEATURES_MAX, room for clients ahead of us."""

REASON_BYTES_MAX = 512
"""Bytes of the reason for which an operator moves a ramp: a few sentences."""

SENTENCE_BYTES_MAX = 256
"""Bytes of what a gate says of a look, which stands in its record and in that of a move by it: the longest
has 160. Both are recorded at once and have to fit into what is kept free for one call."""

ACTOR_BYTES_MAX = 128
"""Bytes of who moves it: a name, an address."""

UNIT_BYTES_MAX = 512
"""Bytes of a unit. Longer than any cookie value in use; hashing it stays below a microsecond."""

EVENT_ID_BYTES_MAX = 256
"""Bytes of an event_id. As Stripe's idempotency key (255)."""

TOKEN_CHARS_MAX = 4096
"""Characters of a decision_id that are looked at. The largest that is minted is about 1,400."""

EVENT_VALUE_MAX = 1e9
"""Largest |value| of an event. Its square times 10⁹ events is far from a float64's range."""

MODEL_BYTES_MAX = 256 * 2**20
"""Bytes of one placement's tallies and models."""

MODEL_BYTES_TOTAL_MAX = 4 * 2**30
"""Bytes of all placements' tallies and models together."""

LEDGER_BYTES_MAX = 1 * 2**30
"""Bytes of all ledgers together: about 40 million rewarded decisions within their windows."""

CATEGORY_BYTES_MAX = 256
"""Bytes of one value of a category feature. As a label value in common time series databases."""

CONDITION_VALUES_MAX = 1024
"""Values a condition names for one feature: every country and language there is, with room."""

WINDOW_US_MAX = 90 * 86_400 * 1_000_000
"""Microseconds of a reward window. The ledger remembers that long; shops attribute within 30 days."""

DURATION_US_MAX = 3_660 * 86_400 * 1_000_000
"""Microseconds of any configured duration, ten years: more is a slip of the unit."""

PRECISION_MIN = 1e-3
"""Smallest prior precision. With collinear columns only the prior keeps a precision invertible: after
10⁹ exposures means err by 5e-5 at 1e-3, and by 5e-2 at 1e-6."""

PRECISION_MAX = 1e9
"""Largest prior precision: beyond it a placement would have to live for years to learn anything."""

ALPHA_MAX = 1e6
"""Largest α of LinUCB, in units of σ: beyond it the means no longer reach the score in float64."""

NUMBER_ABS_MAX = 1e300
"""Largest |min| and |max| of a number feature: their difference is still a finite float64."""

WEIGHT_MAX = 1e9
"""Largest static weight: 256 of them add up without losing the smallest share anyone means."""

CONFIG_PROBLEMS_MAX = 200
"""Problems of one document that are reported: nobody reads more, and a hostile document has millions."""

HISTORY_DAYS_MAX = 100
"""Days of a placement that are remembered: longer than the longest reward window, and a season."""

REPORT_ARM_EVENTS_MAX = 20_000
"""Counts of events by arm and day in one report, which stays below the 4 MiB that gRPC clients take."""

JOURNAL_SEGMENT_BYTES = 64 * 2**20
"""Bytes of a journal's segment unless set otherwise, as etcd's: half a minute of full load."""

JOURNAL_PAYLOAD_BYTES_MAX = 16 * 2**20
"""Bytes of one journal frame's payload: far above any record; bounds what a damaged length costs."""

JOURNAL_PROOF_BYTES_MAX = 16 * 2**30
"""Bytes of CRC computed at most to tell a torn tail from damage, some ten seconds. A segment full of
random bytes needs half of it."""

LEDGER_FILE_BYTES = 64 * 2**20
"""Bytes of a ledger's file from which on the next one is begun: 1.7 million entries."""

SNAPSHOT_PAYLOAD_BYTES_MAX = 2**30
"""Bytes of one snapshot frame's payload: the largest placement that is accepted takes an eighth."""

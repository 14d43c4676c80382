"""The page's words: times, states, what stands where there is no number, and what the terms mean."""

from google.protobuf.timestamp_pb2 import Timestamp

from server.pb import bandit_pb2 as pb

COLOURS = 8
"""Colours of policies in the style sheet; 0 is static's grey."""

ARM_COLOURS = 7
"""Colours of arms there: others than the policies', so that neither is taken for the other."""

INSTEAD = {
    "TOO_FEW": "TOO_FEW: too few decisions yet",
    "NO_OVERLAP": "NO_OVERLAP: chooses arms never shown",
    "OK": "rewards do not differ yet",
}
"""What stands in a plot in the place of a number, by a policy's label."""

STATES = {
    pb.RAMP_STATE_RUNNING: "running",
    pb.RAMP_STATE_HELD: "held",
    pb.RAMP_STATE_STATIC: "back to static",
    pb.RAMP_STATE_WAITING: "waiting for the gate",
}

ARM_STATES = {
    pb.ARM_STATE_ACTIVE: "active",
    pb.ARM_STATE_DRAINING: "draining",
    pb.ARM_STATE_RETIRED: "retired",
}

GLOSSARY = {
    "R": "What a decision earned: the sum of its events' values, as the configuration weighs them.",
    "static": "The campaign as it was: arms by their configured weights. All else is compared with it.",
    "policy": "A way to choose an arm: static, learned without context, or learned for each context.",
    "value": "What a policy earns a decision, or would if it served everyone. It is measured on all "
    "decisions, also on those that others served; while a policy learns, as it was at each decision.",
    "uplift": "A policy's value less static's, on the same decisions, so it is surer than the two values.",
    "interval": "Where the true figure lies, with the stated probability at all times at once: looking every "
    "day does no harm. Each interval is for itself: of twenty, one may miss.",
    "worth": "How many decisions of its own a policy's measured ones are worth (effective sample size).",
    "overlap": "The part of what a policy chooses that was shown at all.",
    "routed uplift": "The same by the decisions alone that the policy and static served themselves, as in a "
    "plain A/B test: less sure, and a check on the other.",
    "share": "The part of the units in the ramp's scope that a policy serves.",
    "ramp": "The way on which the learned policies' share grows: by the calendar, and no further than its "
    "gate lets it.",
    "gate": "Looks at what learned policies earn, holds the ramp until it has seen enough, and takes it back "
    "to static when learning costs too much.",
    "TOO_FEW": "Fewer decisions than are needed before there are intervals.",
    "NO_OVERLAP": "The policy chooses arms that are never shown, so nothing can be said of its value.",
    "by chance": "How much a feature would seem to matter by chance alone, if it did not matter at all.",
}


def colour(policy: int) -> str:
    """Return the class of a policy's colour."""
    return f"p{policy if policy < COLOURS else 1 + (policy - 1) % (COLOURS - 1)}"


def arm_colour(place: int) -> str:
    """Return the class of the colour of an arm that has one."""
    return f"a{place}"


def moment(time: Timestamp) -> str:
    """Return a time as `2026-11-22 15:31 UTC`."""
    return time.ToDatetime().strftime("%Y-%m-%d %H:%M UTC")

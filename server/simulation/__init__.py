"""Simulated shoppers with known response rates, who visit a running sidecar.

    scenario_file → scenario (who comes, how they respond) → shoppers (draws) → drive (Choose, Reward)
                                                                             ↘ scores → view

Because the true rates are known, what the sidecar earned can be set against what the static campaign and
an oracle would have earned on the very same visits, without noise from the responses.
"""

"""What to rent, how to deploy it and what goes where; call it to plan: `cuvee.plan(problem)`."""

from cuvee._verbs import make_verb

make_verb(__name__, "cuvee.plan.planner:plan")

"""The same as `cuvee plan`, in Python: one verb per stage, each taking and returning plain records.

Run: python examples/first_plan.py
"""

import cuvee

demand = cuvee.ModelDemand(cuvee.load_model("llama-3-70b"), cuvee.load_mix("trace-2"))
problem = cuvee.PlanProblem((demand,), cuvee.load_offers("paper-avail-1"), cuvee.Limits(budget_usd_per_hour=30))

plan = cuvee.plan(problem)
print(plan.summary())
for group in plan.groups:
    print(f"{group.copies} x {group.config.gpu_label} {group.config.parallel_label}: {group.rate_req_per_s:.2f} req/s")
print(cuvee.check(plan).summary())

"""How needs are satisfied: one resolver for each source, when the plan is made and again when the job is sent out."""

"""What holds for every test: one thread, no progress bars, no deadline for a slow machine."""

import os

from hypothesis import HealthCheck, settings

# Before torch is imported, and for the processes that tests start.
os.environ["TQDM_DISABLE"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"

settings.register_profile(
    "vae-course",
    deadline=None,
    derandomize=True,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("vae-course")

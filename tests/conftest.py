"""Settings of all tests: how fast an example runs says nothing on a busy machine."""

from hypothesis import HealthCheck, settings

settings.register_profile("medbench", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("medbench")

from hypothesis import settings

# A deadline would make a test of behaviour fail because the machine was busy.
settings.register_profile("unweave", deadline=None)
settings.load_profile("unweave")

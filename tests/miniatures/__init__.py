"""Small faithful copies of public data sets: real folders, names, tables and encodings, generated images.

Written from what publishers and users say of the sets, never from medbench's adapters, so that each may be
held against the other. Every module names its sources; what could not be found is marked "unverified".
No real image, patient or row may enter.
"""

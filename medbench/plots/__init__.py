"""The data of figures: what was judged, and the runs behind it, as points and intervals with their names.

Drawing them is a report's; nothing here trains, and a run that is not there is left out.
"""

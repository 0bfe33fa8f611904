"""Check whether a recorded history of client calls is linearizable."""

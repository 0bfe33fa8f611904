"""The commands of ``pyraft-lab``: each module parses one command's arguments and shows its result."""

"""What the words after ``pyraft-lab`` do: each module reads the words of one command and shows its result."""

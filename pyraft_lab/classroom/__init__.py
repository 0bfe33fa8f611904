"""A class shares one cluster: seats, bots, the teacher and what each of them sees."""

"""What happened: records of steps, as frames, sentences, causes and files."""

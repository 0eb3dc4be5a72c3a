"""What a person reads about a candidate and a version: the evaluation report and the model card.

Both are rendered from stored facts alone, as Markdown, and as one HTML file that needs nothing else. Keep out: judging.
"""

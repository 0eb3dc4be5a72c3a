"""The status page: what every worker serves, how well, and how far a rollout is.

`view.py` says what is shown, `render.py` how; `page.html` holds style and script.
"""

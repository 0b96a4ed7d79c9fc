"""A mining result as charts, figures, Markdown and HTML."""

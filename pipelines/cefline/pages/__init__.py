"""Pages of HTML that show what was delivered: self-contained, without a script.

Nothing here is imported before a page is made: the libraries for charts and templates come with it.
"""

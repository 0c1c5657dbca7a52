"""The web pages of `genreflow web` and `genreflow explore`, and the shell that they share.

app.py       the factory: pages, navigation, templates, assets, errors
security.py  headers, and checks of each request's Host and Origin
assets.py    static files: digests in their addresses, gzip
runner.py    the server: uvicorn on one socket
templates/, static/   the shell's own; each page has folders like these
listen/      the page of `genreflow web`
"""

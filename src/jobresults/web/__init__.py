"""The HTTP edge: one file a resource; `app.py` lists every route and who may call it."""

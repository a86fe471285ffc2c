"""The WSGI entry: `gunicorn wsgi_app:app`. Patches for gevent before anything else is imported."""

from gevent import monkey

monkey.patch_all()

from jobresults.configuration import load_settings  # noqa: E402
from jobresults.web.app import create_app  # noqa: E402

app = create_app(load_settings())

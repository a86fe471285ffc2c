"""Webhooks both ways: signed callbacks that tell how jobs ended, and jobs started by others'
webhooks.
"""

"""The officers' console: pages over the read model, each within the officer's area, and acts at the owning services.

What an officer does goes to the service that owns it, under the officer's own token; that service decides. Every view
and act is recorded before the officer sees its answer.
"""

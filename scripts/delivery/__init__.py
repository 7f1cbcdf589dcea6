"""Deliveries to Kubernetes by kubectl: plain Python 3.11 or newer, nothing to install.

The manifests are in deploy/kubernetes. Serving is there in two colours, blue and green: one answers, the other is made
ready.
"""

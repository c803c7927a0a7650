"""What the monitor counts and shows. Figures are of the hopping window of ten minutes that ended last."""

from prometheus_client import Counter, Gauge

COUNTED = Counter("salur_monitor_events", "Events counted, each once", ["topic"])
SEEN_AGAIN = Counter("salur_monitor_seen_again", "Events that had been counted before", ["topic"])
LATE = Counter("salur_monitor_late", "Events that came after their window had expired", ["topic"])
UNREADABLE = Counter("salur_monitor_unreadable", "Messages on the flow's topics that are no events of it", ["topic"])
BEHIND_SECONDS = Gauge("salur_monitor_behind_seconds", "Seconds from now back to what was counted in full")
COUNTS = Gauge("salur_monitor_counts", "Counts in memory", ["window"])
WINDOW_EVENTS = Gauge("salur_window_events", "Events of the last ten minutes", ["topic", "programme"])
WINDOW_FAILED = Gauge("salur_window_failed", "Failures of the last ten minutes", ["topic", "channel", "code"])
WINDOW_LAG_SECONDS = Gauge(
    "salur_window_lag_seconds", "Mean seconds from the causing event, last ten minutes", ["topic", "cause"]
)
ALERTS_OPEN = Gauge("salur_alerts_open", "Alerts that stand", ["rule", "level"])
ALERTS_MOVED = Counter("salur_alerts_moved", "Alerts raised and cleared", ["rule", "what"])
DELIVERIES = Counter("salur_alert_deliveries", "Attempts to post an alert to the webhook", ["outcome"])

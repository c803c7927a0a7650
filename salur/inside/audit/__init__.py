"""Auditing stages: their topics against their own databases."""

from salur.inside.audit.progress import Progress
from salur.inside.audit.result import AuditResult, Finding, Kind, StageAudit, TableAudit, TopicAudit
from salur.inside.audit.since import Since
from salur.inside.audit.verify import verify

__all__ = ["AuditResult", "Finding", "Kind", "Progress", "Since", "StageAudit", "TableAudit", "TopicAudit", "verify"]

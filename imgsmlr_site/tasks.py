"""Tasks of the workers. Each makes one call."""

from __future__ import annotations

from imgsmlr_site.operations import jobs


def run_job(job_id: int) -> str:
    """Lists cluster: what an operator started."""
    return jobs.run(job_id)

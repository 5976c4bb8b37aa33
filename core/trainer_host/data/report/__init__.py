"""The report of a dataset: one HTML page with what was found, how the data are spread, and pictures of the labels."""

from trainer_host.data.report.page import write_report

__all__ = ["write_report"]

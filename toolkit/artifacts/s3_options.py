"""How S3 is reached: a record apart from the code that does it, which loads heavy libraries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class S3Options:
    """How S3 is reached. What is not set here botocore finds itself, as the AWS command line does.

    Attributes:
        endpoint_url: Address of the service, if it is not Amazon's.
        verify: Whether certificates are checked.
        addressing_style: ``path``, ``virtual`` or ``auto``; ``None``: as botocore decides.
        expected_bucket_owner: Account that the bucket must belong to.
        upload_arguments: What is said with each upload, such as ``{"ServerSideEncryption": "aws:kms"}``.
        timeout: Seconds without any progress after which a request is given up.
    """

    endpoint_url: str | None = None
    verify: bool = True
    addressing_style: str | None = None
    expected_bucket_owner: str | None = None
    upload_arguments: Mapping[str, object] = field(default_factory=dict)
    timeout: float = 60.0

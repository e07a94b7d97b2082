"""An S3 for the tests of artifacts."""

from s3 import aws, bucket, s3_endpoint

__all__ = ["aws", "bucket", "s3_endpoint"]

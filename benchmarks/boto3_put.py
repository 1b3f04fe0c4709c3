"""boto3 putting objects one after another: the peer that publishing is measured against.

It is the plain create-only upload: no notes, no checks, nothing to go on from after a kill.

Run as: `python benchmarks/boto3_put.py BUCKET LIST`; LIST is JSON, pairs of key and file
"""

import json
import sys
from pathlib import Path

import boto3


def main() -> None:
    """Put the objects that the command line names, by one client."""
    bucket, listed = sys.argv[1:]
    client = boto3.client("s3")
    for key, path in json.loads(Path(listed).read_bytes()):
        body = Path(path).read_bytes()
        client.put_object(Bucket=bucket, Key=key, Body=body, IfNoneMatch="*")


if __name__ == "__main__":
    main()

"""A job for spark-submit, EMR, Databricks and Glue: deliver timelines as CEF text.

spark-submit cefline_job.py --sources s3://in/exports/ --dest s3://acme-siem/cado \
    --set "state=s3://acme-cefline/cado split_size=1GiB target=splunk"

The report is printed as a line of JSON. The exit code is that of `cefline export`.
"""

import argparse
import json
import shlex
import sys

from pyspark.sql import SparkSession

from cefline import CeflineError
from cefline.spark import export


def settings(text: str) -> dict[str, str]:
    """Return the settings that a text such as `split_size=1GiB target=splunk` has."""
    pairs = [pair.partition("=") for pair in shlex.split(text)]
    for name, equals, _ in pairs:
        if not equals or name in {"spark", "sources", "dest"}:
            message = f"{name!r} is no NAME=VALUE of a setting; --sources and --dest say the places"
            raise argparse.ArgumentTypeError(message)
    return {name: value for name, _, value in pairs}


def main() -> int:
    """Deliver what the arguments say."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--sources", required=True, help="separated by spaces")
    parser.add_argument("--dest", required=True)
    parser.add_argument("--set", type=settings, default={}, help="NAME=VALUE ... as in the README")
    given, others = parser.parse_known_args()
    if others:  # Glue gives some of its own
        print("ignored:", *others, file=sys.stderr)
    spark = SparkSession.builder.appName("cefline").getOrCreate()
    try:
        report = export(spark, shlex.split(given.sources), given.dest, **given.set)
    except CeflineError as err:
        print(json.dumps({"error": str(err), "exit_code": err.exit_code}))
        return err.exit_code
    print(json.dumps(report.as_json()))
    return report.exit_code


if code := main():  # a notebook shows sys.exit(0) as an exception
    sys.exit(code)

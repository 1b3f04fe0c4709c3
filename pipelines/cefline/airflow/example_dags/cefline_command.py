"""Deliver by the command line: on a worker, and in a pod.

The script maps cefline's exit codes: what a retry may heal fails the task, so that Airflow tries it
again; for the rest the report of `--json`, its last line, says what is wrong, and `outcome` fails
for good.
"""

import importlib.util
from datetime import UTC, datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import dag, task

from cefline.airflow import outcome

CONFIG = "/etc/cefline.toml"
COMMAND = "/opt/cefline/bin/cefline"
MOUNTED = "/etc/cefline/cefline.toml"
XCOM = "/airflow/xcom/return.json"
IMAGE = "registry.example.com/cefline:0.1.0"  # from the Dockerfile of the repository

HOPELESS = "case $? in 0|1|2|3|78) ;; *) exit 75 ;; esac"
SCRIPT = f"""
report=$({{command}} export --config {{file}} --quiet --json); {HOPELESS}
printf '%s\\n' "${{{{report:-null}}}}"
"""


@dag(
    schedule="@hourly",
    start_date=datetime(2026, 11, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=1)},
    tags=["cefline"],
)
def cefline_bash() -> None:
    """Run the command on a worker; what its report sums up to becomes the XCom."""
    BashOperator(
        task_id="export",
        bash_command=SCRIPT.format(command=COMMAND, file=CONFIG),  # finds the worker's credentials
        output_processor=outcome,
    )


cefline_bash()

if importlib.util.find_spec("airflow.providers.cncf.kubernetes"):
    from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
    from kubernetes.client import models as k8s

    @dag(
        schedule="@hourly",
        start_date=datetime(2026, 11, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        default_args={"retries": 3, "retry_delay": timedelta(minutes=1)},
        tags=["cefline"],
    )
    def cefline_pod() -> None:
        """Run the image in a pod, whose service account has the rights on S3."""
        export = KubernetesPodOperator(
            task_id="export",
            image=IMAGE,
            cmds=["sh", "-c"],
            arguments=[f"{{ {SCRIPT.format(command='cefline', file=MOUNTED)} }} > {XCOM}"],
            volumes=[
                k8s.V1Volume(
                    name="settings", config_map=k8s.V1ConfigMapVolumeSource(name="cefline")
                ),
                k8s.V1Volume(name="staging", empty_dir=k8s.V1EmptyDirVolumeSource()),
            ],
            volume_mounts=[
                k8s.V1VolumeMount(name="settings", mount_path="/etc/cefline", read_only=True),
                k8s.V1VolumeMount(name="staging", mount_path="/var/tmp"),  # noqa: S108 - its default
            ],
            container_resources=k8s.V1ResourceRequirements(
                requests={"cpu": "2", "memory": "2Gi"}, limits={"memory": "4Gi"}
            ),
            service_account_name="cefline",
            do_xcom_push=True,
        )
        task(task_id="outcome")(outcome)(export.output)

    cefline_pod()

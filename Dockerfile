# cefline alone, for pods and other containers: its versions are those of requirements.lock, it runs
# as a user without rights, and writes only to /var/tmp (staging), where a volume should be.
#
#   docker build --tag registry.example.com/cefline:0.1.0 .
#   docker run --rm --volume /etc/cefline:/etc/cefline:ro registry.example.com/cefline:0.1.0 \
#       export --config /etc/cefline/cefline.toml

FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY pipelines pipelines
COPY schemas schemas
# As constraints: the lock has the tools of development, too. They bind the build backend as well.
ENV PIP_CONSTRAINT=/src/requirements.lock PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/cefline && /opt/cefline/bin/python -m pip install .

FROM python:3.13-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin cefline
COPY --from=build /opt/cefline /opt/cefline
ENV PATH=/opt/cefline/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /var/tmp
ENTRYPOINT ["cefline"]
CMD ["--help"]

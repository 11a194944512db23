# Two images. The stack, API and workers: docker build --tag hubgate .
# The harness, all that `hubgate --help` lists: docker build --target gate --tag hubgate-gate .
FROM python:3.12-slim AS gate-packages
COPY requirements/gate.txt /tmp/gate.txt
RUN python -m venv /opt/hubgate && /opt/hubgate/bin/pip install --no-cache-dir --require-hashes -r /tmp/gate.txt
COPY pyproject.toml README.md LICENSE /src/
COPY hubgate /src/hubgate
COPY new_stack /src/new_stack
COPY legacy_hub_sim /src/legacy_hub_sim
COPY harness /src/harness
COPY reports /src/reports
COPY scenarios /src/scenarios
COPY loadtests /src/loadtests
RUN /opt/hubgate/bin/pip install --no-cache-dir --no-deps --no-build-isolation /src

FROM python:3.12-slim AS gate
RUN useradd --system --uid 10001 --create-home hubgate && install -d -o hubgate /work
COPY --from=gate-packages /opt/hubgate /opt/hubgate
ENV PATH=/opt/hubgate/bin:$PATH \
    PYTHONUNBUFFERED=1
USER hubgate
# The report is in /work/out.
WORKDIR /work
ENTRYPOINT ["hubgate"]
CMD ["gate"]

FROM python:3.12-slim AS packages
COPY requirements/stack.txt /tmp/stack.txt
RUN python -m venv /opt/hubgate && /opt/hubgate/bin/pip install --no-cache-dir --require-hashes -r /tmp/stack.txt

# The last one is what `docker build` and compose.yaml make: python -m new_stack.api (the default) or new_stack.worker.
FROM python:3.12-slim
RUN useradd --system --uid 10001 --no-create-home hubgate
COPY --from=packages /opt/hubgate /opt/hubgate
COPY new_stack /opt/hubgate/src/new_stack
ENV PATH=/opt/hubgate/bin:$PATH \
    PYTHONPATH=/opt/hubgate/src \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    API_HOST=0.0.0.0 \
    API_PORT=8000
RUN python -m compileall -q /opt/hubgate/src
USER hubgate
EXPOSE 8000
STOPSIGNAL SIGTERM
CMD ["python", "-m", "new_stack.api"]

# One image for API and workers: python -m new_stack.api (the default) or python -m new_stack.worker.
FROM python:3.12-slim AS packages
COPY requirements/stack.txt /tmp/stack.txt
RUN python -m venv /opt/hubgate && /opt/hubgate/bin/pip install --no-cache-dir --require-hashes -r /tmp/stack.txt

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

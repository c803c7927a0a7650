# One image for every service, the simulators and the command line; what a container is, its command says.
ARG PYTHON=python:3.13-slim

FROM ${PYTHON} AS build
WORKDIR /src
COPY requirements/tools.lock requirements/image.lock requirements/
RUN python -m venv /tools \
 && /tools/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/tools.lock
# Only wheels: nothing is compiled, and nothing of a package runs while it is installed.
RUN python -m venv --without-pip /opt/salur \
 && VIRTUAL_ENV=/opt/salur /tools/bin/uv pip install --no-cache --only-binary :all: --require-hashes --compile-bytecode \
    -r requirements/image.lock
COPY pyproject.toml README.md LICENSE ./
COPY shared shared
COPY services services
COPY simulators simulators
COPY salur salur
RUN /tools/bin/pip wheel --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir /wheels . \
 && VIRTUAL_ENV=/opt/salur /tools/bin/uv pip install --no-cache --no-deps --compile-bytecode /wheels/*.whl

FROM ${PYTHON}
ENV PATH=/opt/salur/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# A volume takes over the owner of the folder it is first mounted on.
RUN useradd --system --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin salur \
 && install -d -o salur -m 0700 /keys/main /keys/registry /keys/eligibility /keys/payout /keys/notify \
    /keys/portal /keys/lookup /keys/command \
 && install -d -o salur -m 0700 /data
COPY --from=build /opt/salur /opt/salur
COPY services/notify/templates.json deploy/docker/prepare.py /usr/share/salur/
USER 10001
CMD ["salur", "--help"]

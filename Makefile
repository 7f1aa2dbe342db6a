# Every target makes what it needs: `make demo` works in a fresh checkout that has nothing but Python.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
INSTALL_SECONDS := $(VENV)/.install_seconds
# uv reads neither pip's configuration nor its environment variables: hand them on.
UV = settings=$$($(BIN)/python tools/pip_to_uv.py) && eval "$$settings" && $(BIN)/uv

.PHONY: demo test check bench build install clean

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@start=$$(date +%s); \
	{ test -x $(BIN)/uv || $(BIN)/python -m pip install -q -c constraints.txt uv; } && \
	$(UV) pip install -q -c constraints.txt --python $(BIN)/python -e '.[test,lint,go2,koch,menagerie,search,so101,sysid,teleop,ur5e,view]' && \
	echo $$(($$(date +%s) - start)) > $(INSTALL_SECONDS)
	@touch $@

install: $(STAMP)

demo: $(STAMP)
	ROBO_RL_INSTALL_S=$$(cat $(INSTALL_SECONDS)) $(BIN)/python -m robo_rl.app.demo

test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2  # one thread a worker: two would fight for the cores

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --level error
	$(BIN)/lint-imports
	$(BIN)/python tools/check_size.py

bench: $(STAMP)
	$(BIN)/python -m benchmarks

# The wheel is installed into a venv of its own and started from another directory: what is not packaged, fails here.
build: $(STAMP)
	rm -rf build/dist build/wheel_venv
	$(UV) build -q --wheel --out-dir build/dist
	$(PYTHON) -m venv --without-pip build/wheel_venv
	$(UV) pip install -q -c constraints.txt --python build/wheel_venv/bin/python build/dist/*.whl
	cd build/dist && ../wheel_venv/bin/robo-rl --help && ../wheel_venv/bin/robo-rl record episodes=1 n=1 out=recorded

clean:
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

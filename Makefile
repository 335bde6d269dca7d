# SPDX-License-Identifier: Apache-2.0
# `make demo` and `make test` need Python 3.11 to 3.14 and a C++ compiler; each makes what it needs.
# Python 3.11 where it is there, else the first of the newer ones.
PYTHON ?= $(firstword $(foreach v,3.11 3.12 3.13 3.14,$(shell command -v python$(v) 2>/dev/null)) python3)
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
SOURCES := $(shell git ls-files csrc kernels cmake CMakeLists.txt pyproject.toml 2>/dev/null)
CPP := $(shell git ls-files '*.cpp' '*.h' '*.cu' '*.cuh' 2>/dev/null)

.PHONY: help demo proof small test fresh test-slow test-real chaos hostile fuzz sanitize cross lint format stubs bench bench-full docs clean

help:
	@echo "make demo        sample scenes -> records -> verify -> stats -> gallery, in $(VENV)"
	@echo "make proof       train tiny models and their blind twins for 10 minutes, again until all are through; small: on a GPU"
	@echo "make gate-blind  24 rooms of a seed nobody set a rule on: what every task gives away without its images; continues"
	@echo "make test        lint, types, import rules and the whole suite"
	@echo "make test-slow   the tests that take longer than a minute, or guard one compiler's code"
	@echo "make test-real   the tests on captured scenes; fails where they are absent"
	@echo "make hostile     every malformed input, and the table of docs/hostile.md; continues; fuzz: search for more (MINUTES=40)"
	@echo "make fresh       the tests that draw their inputs, on new ones: make test repeats the same ones"
	@echo "make chaos       processes killed at 100 random moments of index, plan, generate, export and merge"
	@echo "make sanitize    the kernels' tests under ASan and UBSan, then TSan; needs cmake and g++"
	@echo "make cross       the C++ of the CPU compiled for AArch64, macOS and Windows; with qemu-user the first one's bits, too"
	@echo "make bench       a three-minute benchmark against the peers; bench-full: all of it"
	@echo "make docs        the documentation as a site, in site/"
	@echo "make format      ruff format and clang-format in place; stubs: regenerate the .pyi files"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# The package alone: what a user installs.
$(VENV)/.installed: $(BIN)/python $(SOURCES)
	$(PIP) .
	@touch $@

# Everything the suite needs. Torch first, so that nothing else chooses a build with CUDA.
$(VENV)/.developed: $(BIN)/python $(SOURCES) constraints.txt
	$(PIP) scikit-build-core pybind11 ninja
	$(PIP) torch
	$(PIP) --no-build-isolation -e '.[test,lint,triton,model,lora,rl,gguf,tensorboard,video,captures,dist,stress,viz]' matplotlib
	@touch $@ $(VENV)/.installed

demo: $(VENV)/.installed
	$(BIN)/spatialcore doctor
	$(BIN)/spatialcore sample demo/scenes
	$(BIN)/spatialcore generate demo/scenes/scannet demo/scenes/tapvid3d -o demo/out --workers 2
	$(BIN)/spatialcore verify demo/out --workers 2
	$(BIN)/spatialcore stats demo/out
	$(BIN)/spatialcore view demo/out

# Gates: each continues what an earlier call left in its folder.
SEEDS ?= 0

proof: $(VENV)/.developed
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.proof runs/proof --seeds $(SEEDS) --minutes 10 --page docs/proof.md

small: $(VENV)/.developed
	$(BIN)/python -m benchmarks.gate small runs/small --seeds $(SEEDS) --minutes 9.5

.PHONY: gate-blind
gate-blind: $(VENV)/.developed
	$(BIN)/python -m benchmarks.blind runs/blind --page docs/blind.md

# Hundreds of processes start in the suite; without bytecode each of them compiles the package.
test: $(VENV)/.developed lint
	$(BIN)/python -m compileall -q src python_engines kernels
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile --no-loadscope-reorder

# The tests that draw inputs, on new ones; what fails prints the seed or the example that repeats it.
fresh: $(VENV)/.developed
	SPATIALCORE_TEST_SEED=fresh $(BIN)/python -m pytest -m 'not slow' -n 2 --dist loadfile $$(grep -rlE --include='*.py' 'fresh_seeds|@given' tests)

test-slow: $(VENV)/.developed
	$(BIN)/python -m pytest -m slow

test-real: $(VENV)/.developed
	SPATIALCORE_REQUIRE_REAL=1 $(BIN)/python -m pytest -m real

hostile: $(VENV)/.developed
	$(BIN)/python -m tests.robustness.hostile --kept build/hostile.jsonl --page docs/hostile.md

# The compiled decoders need clang with its libFuzzer; CXX may name it.
MINUTES ?= 40

fuzz: $(VENV)/.developed
	$(PIP) '.[fuzz]'
	nice -n 19 $(BIN)/python -m tests.fuzz --minutes $(MINUTES)
chaos: $(VENV)/.developed
	$(BIN)/python -m tests.chaos --moments 100 --seed 0


sanitize: $(VENV)/.developed
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m tests.native.sanitize
	$(BIN)/python -m pytest -m slow tests/native/test_sanitized.py

cross: $(BIN)/python
	$(PIP) ziglang pybind11 cmake
	$(BIN)/python -m tests.native.cross

lint: $(VENV)/.developed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(CPP)
	$(BIN)/lint-imports
	$(BIN)/typos

format: $(VENV)/.developed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CPP)

stubs: $(VENV)/.developed
	$(BIN)/python tests/stubs.py --write

bench: $(VENV)/.developed
	$(PIP) '.[bench]' && $(BIN)/python -m benchmarks --short

bench-full: $(VENV)/.developed
	$(PIP) '.[bench]' && $(BIN)/python -m benchmarks && $(BIN)/python -m benchmarks.ops.bench_scaling

# The site in site/; --strict makes a broken link an error.
docs: $(VENV)/.installed
	$(PIP) '.[docs]' && $(BIN)/python -m mkdocs build --strict

clean:
	rm -rf build demo site $(VENV)

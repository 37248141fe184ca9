# What is built from what. scripts/build.sh calls it; `make clean` starts afresh.

# v3 (32-bit arithmetic) is understood from Linux 5.1 on, and saves 3 ns a packet over v2.
BPF_CPU ?= v3
CLANG ?= clang
LLVM_STRIP ?= $(shell command -v llvm-strip llvm-strip-14 llvm-strip-15 llvm-strip-16 2>/dev/null | head -n 1)
# linux/types.h includes asm/types.h, which Debian keeps by architecture.
MULTIARCH := $(shell g++ -print-multiarch 2>/dev/null)
BPF_CFLAGS = -O2 -g -target bpf -mcpu=$(BPF_CPU) -Wall -Werror -MMD -MP \
	-I/usr/include/$(MULTIARCH) -Ibpf

PROGRAMS := $(patsubst bpf/%.bpf.c,build/bpf/%.bpf.o,$(wildcard bpf/*.bpf.c))
BENCHES := $(patsubst bench/bpf/%.bpf.c,build/bench/%.bpf.o,$(wildcard bench/bpf/*.bpf.c))
BENCH_TOOLS := $(patsubst bench/%.c,build/bench/%,$(wildcard bench/*.c))
FIXTURES := $(patsubst test/bpf/%.bpf.c,build/test-bpf/%.bpf.o,$(wildcard test/bpf/*.bpf.c))
ADDON := native/build/Release/cgfw.node
SOURCES := $(shell find src test bench -name '*.ts' 2>/dev/null) $(wildcard schema/*.json)

all: $(PROGRAMS) $(FIXTURES) $(ADDON) dist/cgfw/.built

# What only npm run bench needs.
bench: $(BENCHES) $(BENCH_TOOLS)

# Written aside and renamed: an interrupted build leaves no half object behind.
define compile
@mkdir -p $(@D)
@echo "  bpf    $<"
@$(CLANG) $(BPF_CFLAGS) -MT $@ -MF $@.d -c $< -o $@.new
@$(if $(LLVM_STRIP),$(LLVM_STRIP) -g $@.new)
@mv $@.new $@
endef

build/bpf/%.bpf.o: bpf/%.bpf.c Makefile
	$(compile)

build/test-bpf/%.bpf.o: test/bpf/%.bpf.c Makefile
	$(compile)

build/bench/%.bpf.o: bench/bpf/%.bpf.c Makefile
	$(compile)

build/bench/%: bench/%.c Makefile
	@mkdir -p $(@D)
	@echo "  c      $<"
	@gcc -O2 -Wall -Wextra -Werror -o $@.new $<
	@mv $@.new $@

$(ADDON): $(wildcard native/*.cc native/*.h) native/binding.gyp node_modules/node-addon-api/package.json
	@echo "  native $@"
	@bash scripts/build-native.sh
	@touch $@

dist/.built: $(SOURCES) tsconfig.json node_modules/typescript/package.json
	@echo "  tsc    dist"
	@node node_modules/typescript/bin/tsc -p .
	@touch $@

# What users run: few files instead of 170, which halves what a command takes beyond
# Node.js itself. pino stays outside, because it looks for files of its own.
dist/cgfw/.built: dist/.built node_modules/esbuild/package.json
	@echo "  bundle dist/cgfw"
	@rm -rf $(@D).new
	@node_modules/.bin/esbuild dist/src/cli/bin.js dist/src/agent/steward-worker.js \
		--bundle --splitting --format=esm --platform=node --target=node20.19 \
		--external:pino --external:pino-pretty --log-level=warning \
		--banner:js='const require = process.getBuiltinModule("node:module").createRequire(import.meta.url);' \
		--outdir=$(@D).new --entry-names=[name] --chunk-names=[name]-[hash]
	@touch $(@D).new/.built
	@rm -rf $(@D)
	@mv $(@D).new $(@D)

clean:
	rm -rf build dist native/build

-include $(PROGRAMS:=.d) $(FIXTURES:=.d) $(BENCHES:=.d)
.PHONY: all bench clean

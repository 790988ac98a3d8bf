# make                  build/ngx_http_wafcert_module.so for the nginx that is
#                       installed (Debian: nginx-dev, libjansson-dev), and
#                       build/wafcert-check
# make NGINX_SRC=dir    the same for an nginx source tree, as configured by
#                       NGINX_CONFIGURE
# make install          into nginx's modules directory, and PREFIX, both below
#                       DESTDIR
# make rekey            build/rekey, which tools/rekey runs
# make unit             the tests of layer 0, under ASan and UBSan
# make lint             clang-tidy, cppcheck and shellcheck
# make clean

NGINX     = nginx
NGINX_SRC = /usr/share/nginx/src
PREFIX    = /usr/local
CFLAGS    = -O2 -g -fstack-protector-strong -D_FORTIFY_SOURCE=2
WARNINGS  = -Wall -Wextra -Wpointer-arith -Wno-unused-parameter -Werror
LDFLAGS   = -Wl,-z,relro -Wl,-z,now
SANITIZE  = -fsanitize=address,undefined -fno-sanitize-recover=all

# what nginx's configure is given for a source tree;
# a Debian package brings its own flags, in conf_flags
NGINX_CONFIGURE = --with-compat --with-threads --with-http_ssl_module

MODULE  = build/ngx_http_wafcert_module.so
SOURCES = $(wildcard *.c src/*.c tools/*.c)
LAYER0  = $(patsubst src/%.c,build/unit/%.o,$(wildcard src/wafcert_*.c))
TOOLS0  = $(patsubst src/%.c,build/tools/%.o,$(wildcard src/wafcert_*.c))
UNIT    = $(patsubst t/unit/%.c,build/unit/%,$(wildcard t/unit/*_test.c))

# Each nginx that is built for has a directory of its own, so a configure run
# is repeated when nginx or its flags change.  It holds links to nginx's tree,
# which stays untouched, and one to ours: every path is relative.

NGINX_ID := $(shell cd "$(NGINX_SRC)" 2>/dev/null && \
    sed -n 's/.*define NGINX_VERSION *"\(.*\)"/\1/p' src/core/nginx.h && \
    { find src -name '*.h' | LC_ALL=C sort | xargs cat; \
      cat conf_flags 2>/dev/null || echo "$(NGINX_CONFIGURE)"; } | cksum)
NGX = build/nginx-$(word 1,$(NGINX_ID))-$(word 2,$(NGINX_ID))
INC = $(addprefix -isystem $(NGX)/,objs src/core src/event src/event/modules \
        src/event/quic src/os/unix src/http src/http/modules src/http/v2 \
        src/http/v3) -Isrc

TOOL_CC = $(CC) $(CFLAGS) $(WARNINGS) $(INC) -MMD -MP
UNIT_CC = $(CC) -O1 -g $(WARNINGS) $(SANITIZE) $(INC) -MMD -MP

export PATH := $(PATH):/usr/sbin


all: $(MODULE) build/wafcert-check

$(MODULE): FORCE $(NGX)/objs/Makefile
	@$(MAKE) -C $(NGX) -f objs/Makefile modules \
	    CFLAGS='-pipe $(CFLAGS) $(WARNINGS)'
	@cmp -s $(NGX)/objs/$(@F) $@ || install $(NGX)/objs/$(@F) $@

# (a release has ./configure, the repository auto/configure)
$(NGX)/objs/Makefile: config Makefile
	@if [ ! -f '$(NGINX_SRC)/auto/module' ]; then \
	    echo "No nginx to build for in $(NGINX_SRC): install nginx-dev" \
	         "(Debian) or say make NGINX_SRC=<nginx source tree>" >&2; \
	    exit 1; \
	fi
	@mkdir -p $(NGX)
	@ln -sfn "$$(realpath '$(NGINX_SRC)')"/* $(NGX)/
	@ln -sfn ../.. $(NGX)/wafcert
	@rm -rf $(NGX)/objs $(NGX)/Makefile
	@echo "configuring nginx $(word 1,$(NGINX_ID)), log in $(NGX)/log"
	@cd $(NGX) && \
	if [ -f configure ]; then run=./configure; else run=auto/configure; fi; \
	set -- --with-ld-opt='$(LDFLAGS)' --builddir=objs \
	       --add-dynamic-module=wafcert; \
	if [ -f conf_flags ]; then \
	    bash -c '. ./conf_flags && "$$@" "$${NGX_CONF_FLAGS[@]}"' \
	        bash $$run "$$@" >log 2>&1; \
	else \
	    $$run $(NGINX_CONFIGURE) "$$@" >log 2>&1; \
	fi || { tail -n 8 log >&2; rm -rf objs; exit 1; }

install: all
	@dir=$$($(NGINX) -V 2>&1 | tr ' ' '\n' \
	        | sed -n 's/^--modules-path=//p'); \
	if [ -z "$$dir" ]; then \
	    echo "$(NGINX) -V names no --modules-path" >&2; exit 1; \
	fi; \
	set -x; install -D -m 644 $(MODULE) "$(DESTDIR)$$dir/$(notdir $(MODULE))"; \
	install -D build/wafcert-check "$(DESTDIR)$(PREFIX)/bin/wafcert-check"; \
	install -D -m 644 tools/wafcert-check.1 \
	    "$(DESTDIR)$(PREFIX)/share/man/man1/wafcert-check.1"

# layer 0 links with no nginx
rekey: build/rekey

build/rekey: build/tools/rekey.o $(TOOLS0)
build/wafcert-check: build/tools/check.o $(TOOLS0)

build/rekey build/wafcert-check:
	@echo "LD $@"
	@$(CC) $(LDFLAGS) -o $@ $^ -ljansson -lcrypto -lz

build/tools/%.o: src/%.c $(NGX)/objs/Makefile
	@echo "CC $<"
	@mkdir -p $(@D)
	@$(TOOL_CC) -c -o $@ $<

build/tools/%.o: tools/%.c $(NGX)/objs/Makefile
	@echo "CC $<"
	@mkdir -p $(@D)
	@$(TOOL_CC) -c -o $@ $<

unit: $(UNIT)
	@failed=; for test in $(UNIT); do \
	    echo "== $$test"; $$test || failed="$$failed $$test"; \
	done; \
	[ -z "$$failed" ] || { echo "failed:$$failed"; exit 1; }

build/unit/%_test: t/unit/%_test.c $(LAYER0)
	@echo "CC $<"
	@$(UNIT_CC) -o $@ $< $(LAYER0) -lcmocka -ljansson -lcrypto -lz

build/unit/%.o: src/%.c $(NGX)/objs/Makefile
	@echo "CC $<"
	@mkdir -p $(@D)
	@$(UNIT_CC) -c -o $@ $<

lint: $(SOURCES:=.lint)
	@echo cppcheck
	@cppcheck $$(cat .cppcheck) $(subst -isystem ,-I,$(INC)) $(SOURCES)
	shellcheck -x tools/asan tools/crashtest tools/demo tools/install tools/keystone \
	    tools/layers tools/rekey tools/seal-key tools/test .ci/run \
	    bench/certificates bench/run bench/tls bench/validate fuzz/run fuzz/seeds

$(SOURCES:=.lint): %.lint: $(NGX)/objs/Makefile
	@echo "clang-tidy $*"
	@clang-tidy --quiet $* -- $(INC)

clean:
	rm -rf build

FORCE:

.PHONY: FORCE all install rekey unit lint clean $(SOURCES:=.lint)
.SECONDARY: $(LAYER0) $(TOOLS0) build/tools/check.o build/tools/rekey.o

-include $(wildcard build/unit/*.d build/tools/*.d)

# SPDX-License-Identifier: GPL-2.0-only
# slat: "make help" says what there is.

# The kernel of the test machine: 6.1, 6.12, debug or fast (scripts/kernel.sh)
KERNEL ?= 6.1
# The kernel to build for and install under: by default the running one's
# build tree, if there is one
KDIR ?= $(wildcard /lib/modules/$(shell uname -r)/build)
# Names of tests to run, all if empty
TEST ?=

PREFIX ?= /usr
DESTDIR ?=

# "make" builds for KDIR; naming a KERNEL, or having no KDIR, for the test machine
ifneq ($(filter environment% command%,$(origin KERNEL)),)
module_for = $(KERNEL)
else
module_for = $(or $(abspath $(KDIR)),$(KERNEL))
endif

.PHONY: all module demo check unit debug-kernel install uninstall clean help
all: module

module: | packages-build
	@scripts/module.sh $(module_for)

.PHONY: packages-build packages-machine packages-kernel
packages-%:
	@scripts/packages.sh $*

demo: | packages-build packages-machine
	@scripts/demo.sh $(KERNEL)

check: | packages-build packages-machine
	@scripts/run-tests.sh $(KERNEL) $(TEST)

unit: | packages-build
	@$(MAKE) -s -C selftests/unit OUTPUT=$(CURDIR)/build/unit KSFT=$$(scripts/kselftest.sh) check

debug-kernel: | packages-build packages-kernel
	@scripts/kernel.sh debug

clean:
	rm -rf build

help:
	@sed -n 's/^## //p' Makefile

## make                    build slat.ko for the running kernel (KDIR=... for another),
##                         or, if its build tree is not there, for the test machine
## make module KERNEL=K    build it for the test machine, warnings being errors
## make demo               boot the test machine and show slat at work in it
## make check [KERNEL=K] [TEST="a_test b_test"]
##                         build with all warnings, run unit tests and kselftests
## make unit               only the unit tests
## make debug-kernel       build the test machine's debug kernel (minutes, once)
## make install            slat.ko for KDIR, udev rule, header (DESTDIR, PREFIX)
## make uninstall
## make clean
##
## K is 6.1 (default), 6.12, debug or fast. Downloads and kernels are kept in
## SLAT_CACHE, by default ~/.cache/slat.

# SPDX-License-Identifier: GPL-2.0-only
# slat: "make help" says what there is.

# The kernel of the test machine: 6.1, 6.12, debug or fast (scripts/kernel.sh)
KERNEL ?= 6.1
# The kernel to build for and install under: by default the running one's
# build tree, if there is one
KDIR ?= $(wildcard /lib/modules/$(shell uname -r)/build)
# The test machine: qemu, bochs or bochs-svm (scripts/boot.sh)
MACHINE ?= qemu
# Names of tests to run, all if empty
TEST ?=

DESTDIR ?=
PREFIX ?= /usr/local
UDEVDIR ?= /etc/udev/rules.d

.PHONY: all module demo check check-long check-kvm-selftests check-qemu check-nested bench unit debug-kernel
.PHONY: install uninstall clean help
all: module

# Naming a KERNEL, or having no KDIR, means the test machine's.
module:
ifneq ($(filter environment% command%,$(origin KERNEL))$(if $(KDIR),,y),)
	@scripts/packages.sh module test
	@scripts/module.sh $(KERNEL)
else
	@scripts/packages.sh module
	@scripts/module.sh $(abspath $(KDIR))
endif

demo:
	@scripts/packages.sh module test machine
	@scripts/demo.sh $(KERNEL)

check:
	@scripts/packages.sh module test machine $(filter bochs,$(MACHINE:-svm=))
	@MACHINE=$(MACHINE) scripts/run-tests.sh $(KERNEL) $(TEST)

# Two minutes for what is to hold "for minutes", less for all else that races.
check-long:
	@scripts/packages.sh module test machine $(filter bochs,$(MACHINE:-svm=))
	@MACHINE=$(MACHINE) SLAT_SECONDS=120 scripts/run-tests.sh $(KERNEL) \
		guard_test runstate_race_test
	@MACHINE=$(MACHINE) SLAT_SECONDS=20 scripts/run-tests.sh $(KERNEL) \
		race_test race_calls_test fault_parallel_test memory_race_test dirty_race_test \
		nested_race_test

unit:
	@scripts/packages.sh test
	@$(MAKE) -s -C selftests/unit OUTPUT=$(CURDIR)/build/unit KSFT=$$(scripts/kselftest.sh) check

check-kvm-selftests:
	@scripts/packages.sh module test machine $(filter bochs,$(MACHINE))
	@MACHINE=$(MACHINE) scripts/kvm-selftests.sh $(KERNEL) $(TEST)

check-qemu:
	@scripts/packages.sh module test machine $(filter bochs,$(MACHINE))
	@MACHINE=$(MACHINE) scripts/qemu-guest.sh $(KERNEL)

check-nested:
	@scripts/packages.sh module test machine
	@scripts/qemu-guest.sh -n $(KERNEL)

bench:
	@scripts/packages.sh module test machine $(filter bochs,$(MACHINE:-svm=))
	@MACHINE=$(MACHINE) scripts/bench.sh $(KERNEL)

debug-kernel:
	@scripts/packages.sh kernel
	@scripts/kernel.sh debug

release = $(shell sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' $(KDIR)/include/generated/utsrelease.h)
# With a DESTDIR, settling the system that it goes to is a package's business.
define settle
$(if $(DESTDIR),,depmod $(release))
$(if $(DESTDIR),,! command -v udevadm || udevadm control --reload)
endef

install:
	$(if $(KDIR),,$(error no build tree of the running kernel: install its headers or name a KDIR))
	scripts/packages.sh module
	scripts/module.sh $(abspath $(KDIR))
	scripts/module.sh $(abspath $(KDIR)) modules_install INSTALL_MOD_PATH=$(DESTDIR)
	install -D -m 644 scripts/udev/60-slat.rules $(DESTDIR)$(UDEVDIR)/60-slat.rules
	install -D -m 644 uapi/linux/slat.h $(DESTDIR)$(PREFIX)/include/linux/slat.h
	$(settle)

uninstall:
	rm -f $(DESTDIR)/lib/modules/$(release)/*/slat.ko*
	rm -f $(DESTDIR)$(UDEVDIR)/60-slat.rules $(DESTDIR)$(PREFIX)/include/linux/slat.h
	$(settle)

clean:
	rm -rf build

help:
	@sed -n 's/^## \?//p' Makefile

## make                    build slat.ko for the running kernel (KDIR=... for another),
##                         or, if its build tree is not there, for the test machine
## make module KERNEL=K    build it for the test machine, warnings being errors
## make demo               boot the test machine and show slat at work in it
## make check [KERNEL=K] [TEST="a_test b_test"] [MACHINE=M]
##                         build with all warnings, run unit tests and kselftests
## make unit               only the unit tests
## make check-long [KERNEL=K] [MACHINE=M]
##                         look for races for minutes
## make check-kvm-selftests [TEST="rseq_test"] [MACHINE=M]
##                         run KVM's own selftests on slat (minutes)
## make check-qemu [MACHINE=M]
##                         boot Linux in Debian's QEMU on slat
## make check-nested       run Linux's own KVM as a guest of slat
## make bench [MACHINE=M]  count instructions on slat and on KVM
## make debug-kernel       build the test machine's debug kernel (minutes, once)
## make install            slat.ko for KDIR, the udev rule for /dev/slat, the header
##                         (DESTDIR, PREFIX, UDEVDIR)
## make uninstall
## make clean
##
## M is qemu (default): SVM in QEMU; bochs: VT-x in Bochs; or bochs-svm.
## K is 6.1 (default), 6.12, debug or fast. Downloads and kernels are kept in
## SLAT_CACHE, by default ~/.cache/slat.

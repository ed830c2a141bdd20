/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Running a vCPU. Nothing here waits without end: the first run of a test
 * starts a watchdog (WATCHDOG_SECONDS, or what watchdog_start() was told) that
 * stops a guest, prints where it is, and aborts the test.
 */
#ifndef SLAT_TEST_RUN_H
#define SLAT_TEST_RUN_H

#include "vm.h"

#define WATCHDOG_SECONDS	20

/* It takes them for a time_limit(). */
void watchdog_start(unsigned int seconds);

/* By how much slower than usual the machine is ($SLAT_TIME_SCALE). */
unsigned int time_scale(void);
/*
 * For tests that look for what happens rarely: how long, which is $SLAT_SECONDS if that is
 * set; and how often at most, which is then without limit.
 */
double look_for(double seconds);
unsigned long look_often(unsigned long rounds);
/* For what takes at most so many seconds on a usual machine, but for look_for(). */
unsigned int time_limit(unsigned int seconds);

/* KVM_RUN once: 0 or -errno. */
int vcpu_try_run(struct vcpu *vcpu);
/* KVM_RUN that must return 0; goes on after a signal. The exit reason. */
uint32_t vcpu_run(struct vcpu *vcpu);
/* Run to this exit; any other one aborts the test. */
void vcpu_run_to(struct vcpu *vcpu, uint32_t exit_reason);
/* Run to the guest's report (see guest_lib.h); its tag must be this one. */
uint64_t vcpu_await(struct vcpu *vcpu, uint64_t tag);
/* Run to the end of a C guest or to guest_done. */
void vcpu_await_done(struct vcpu *vcpu);

/* The exit in kvm_run, decoded. */
bool exit_is_io(struct vcpu *vcpu, int direction, uint16_t port,
		unsigned int size, unsigned int count);
bool exit_is_mmio(struct vcpu *vcpu, bool write, uint64_t gpa,
		  unsigned int len);
void *exit_io_data(struct vcpu *vcpu);
uint64_t exit_io_value(struct vcpu *vcpu);
void exit_io_reply(struct vcpu *vcpu, uint64_t value);
uint64_t exit_mmio_value(struct vcpu *vcpu);
void exit_mmio_reply(struct vcpu *vcpu, uint64_t value);

const char *exit_name(uint32_t reason);
/* Print registers and the last exit as TAP comments. */
void vcpu_dump(struct vcpu *vcpu);

#endif

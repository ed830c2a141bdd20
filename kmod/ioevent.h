/* SPDX-License-Identifier: GPL-2.0-only */
/* KVM_IOEVENTFD: writes of the guest that signal an eventfd in place of an exit. */
#ifndef SLAT_IOEVENT_H
#define SLAT_IOEVENT_H

#include <linux/types.h>

struct kvm_ioeventfd;
struct slat_vm;

#define SLAT_IOEVENTS_MAX	1000	/* of one VM, ports and memory together */

/**
 * slat_ioevent_set() - KVM_IOEVENTFD
 * Return: 0; -EINVAL: unknown flags, length, wrap, data to match without a length;
 * -EEXIST: another one has these writes; -ENOENT: no such one to take away;
 * -ENOSPC: too many; -ENOMEM, or what is wrong with the file descriptor.
 */
int slat_ioevent_set(struct slat_vm *vm, const struct kvm_ioeventfd *args);

/**
 * slat_ioevent_write() - the guest writes to a port or to what is no memory
 * @pio:	to a port
 * Return: true when an eventfd was signalled, and that was all.
 */
bool slat_ioevent_write(struct slat_vm *vm, bool pio, u64 addr, unsigned int len, u64 value);

/** slat_ioevents_free() - the VM is gone. */
void slat_ioevents_free(struct slat_vm *vm);

#endif

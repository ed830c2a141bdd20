/* SPDX-License-Identifier: GPL-2.0-only */
/* KVM_SET_GUEST_DEBUG: the VMM traces the guest and sets breakpoints in it. */
#ifndef SLAT_DEBUG_H
#define SLAT_DEBUG_H

#include <linux/kvm.h>
#include <linux/types.h>
#include <asm/debugreg.h>

struct slat_exit;
struct slat_vcpu;

#define SLAT_DR7_FIXED		0x400
#define SLAT_DR7_ENABLED	(DR_GLOBAL_ENABLE_MASK | DR_LOCAL_ENABLE_MASK)

/* What the VMM may ask for. */
#define SLAT_DEBUG_CONTROL	(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | \
				 KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_USE_HW_BP | \
				 KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP)

/**
 * struct slat_debug - how the VMM debugs a vCPU; vcpu->mutex held
 * @control:	KVM_GUESTDBG_*, 0: not at all
 * @dr:		breakpoints of the VMM, with KVM_GUESTDBG_USE_HW_BP
 * @dr7:	and what they are
 * @stepped:	an instruction that software completed was traced
 * @pass_bp:	the guest may execute the INT3 at its rip
 */
struct slat_debug {
	u32 control;
	u64 dr[4];
	u64 dr7;
	bool stepped;
	bool pass_bp;
};

/**
 * slat_debug_set() - KVM_SET_GUEST_DEBUG
 * Return: 0; -EINVAL: unknown bits; -EBUSY: an exception to inject, but one is
 * pending already.
 */
int slat_debug_set(struct slat_vcpu *vcpu, const struct kvm_guest_debug *debug);

/** slat_debug_exit() - tell the VMM of SLAT_EXIT_DEBUG.  Return: 0 */
int slat_debug_exit(struct slat_vcpu *vcpu, const struct slat_exit *exit);

/** slat_debug_stepped() - tell the VMM of vcpu->debug.stepped.  Return: 0 */
int slat_debug_stepped(struct slat_vcpu *vcpu);

/**
 * slat_debug_payload() - a #DB comes: tell the guest why
 * @bits:	to set in DR6; of those that are 0 there when set, to clear
 */
void slat_debug_payload(struct slat_vcpu *vcpu, u64 bits);

/**
 * slat_debug_mov() - execute a MOV of a debug register while the VMM debugs
 * @nr:		of the debug register
 * @value:	to write, or NULL
 * @result:	out: what was read
 *
 * Return: 0, or the vector of the exception to raise.
 */
int slat_debug_mov(struct slat_vcpu *vcpu, unsigned int nr, const u64 *value, u64 *result);

/**
 * slat_debug_load() - the guest's breakpoints into the CPU; DR7 follows at the entry
 *
 * Context: interrupts off until slat_debug_unload().
 */
void slat_debug_load(const u64 dr[4]);

/** slat_debug_read() - the guest may have changed them */
void slat_debug_read(u64 dr[4]);

/** slat_debug_unload() - back to the host's breakpoints, if it has any; an exit clears DR7 */
void slat_debug_unload(void);

/**
 * slat_debug_catch() - is an exit for the VMM's debugger?
 * @control:	what the debugger asked for at the entry
 * @vector:	of the exception that exited; -1: something else
 *
 * Return: true when it is: the rest of @exit->debug is to be filled in.
 */
bool slat_debug_catch(u32 control, int vector, struct slat_exit *exit);

#endif

// SPDX-License-Identifier: GPL-2.0-only
/* The guest under the VMM's debugger. */
#include <linux/percpu.h>
#include <linux/string.h>
#include <linux/sched.h>
#include <asm/debugreg.h>
#include <asm/trapnr.h>

#include "access.h"
#include "debug.h"
#include "vcpu.h"

int slat_debug_set(struct slat_vcpu *vcpu, const struct kvm_guest_debug *debug)
{
	const u32 inject = KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP;
	struct slat_debug *to = &vcpu->debug;

	if (debug->control & ~SLAT_DEBUG_CONTROL)
		return -EINVAL;
	if ((debug->control & KVM_GUESTDBG_USE_HW_BP) && debug->arch.debugreg[7] >> 32)
		return -EINVAL;
	if ((debug->control & inject) && vcpu->events.exception.pending)
		return -EBUSY;
	*to = (struct slat_debug) {};
	if (debug->control & KVM_GUESTDBG_ENABLE)
		to->control = debug->control & ~inject;
	if (to->control & KVM_GUESTDBG_USE_HW_BP) {
		memcpy(to->dr, debug->arch.debugreg, sizeof(to->dr));
		to->dr7 = debug->arch.debugreg[7];
	}
	if (debug->control & KVM_GUESTDBG_INJECT_DB)
		slat_vcpu_inject(vcpu, X86_TRAP_DB, false, 0);
	else if (debug->control & KVM_GUESTDBG_INJECT_BP)
		/* Its own INT3, which the CPU knows best how to execute. */
		to->pass_bp = true;
	return 0;
}

static int tell(struct slat_vcpu *vcpu, u8 vector, u64 dr6, u64 dr7)
{
	struct kvm_debug_exit_arch *arch = &vcpu->run->debug.arch;

	memset(arch, 0, sizeof(*arch));
	arch->exception = vector;
	arch->pc = slat_linear_rip(vcpu);
	arch->dr6 = dr6;
	arch->dr7 = dr7;
	vcpu->run->exit_reason = KVM_EXIT_DEBUG;
	return 0;
}

int slat_debug_exit(struct slat_vcpu *vcpu, const struct slat_exit *exit)
{
	return tell(vcpu, exit->debug.vector, exit->debug.dr6, exit->debug.dr7);
}

int slat_debug_stepped(struct slat_vcpu *vcpu)
{
	vcpu->debug.stepped = false;
	return tell(vcpu, X86_TRAP_DB, DR6_RESERVED | DR_STEP, vcpu->debug.dr7);
}

void slat_debug_load(const u64 dr[4])
{
	/* The host's breakpoints must not fire before the entry switches DR7. */
	if (hw_breakpoint_active())
		set_debugreg(0, 7);
	set_debugreg(dr[0], 0);
	set_debugreg(dr[1], 1);
	set_debugreg(dr[2], 2);
	set_debugreg(dr[3], 3);
}

void slat_debug_read(u64 dr[4])
{
	get_debugreg(dr[0], 0);
	get_debugreg(dr[1], 1);
	get_debugreg(dr[2], 2);
	get_debugreg(dr[3], 3);
}

void slat_debug_unload(void)
{
	if (hw_breakpoint_active())
		hw_breakpoint_restore();
	else
		hw_breakpoint_disable();	/* nothing of the guest's stays */
}

bool slat_debug_catch(u32 control, int vector, struct slat_exit *exit)
{
	const u32 traps = KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP;

	if (!((control & traps) && vector == X86_TRAP_DB) && !(control && vector == X86_TRAP_BP))
		return false;
	exit->reason = SLAT_EXIT_DEBUG;
	exit->debug.vector = vector;
	return true;
}

#define DR7_GENERAL_DETECT	BIT(13)
#define DR6_GENERAL_DETECT	BIT(13)
#define DR6_SETTABLE	(DR_TRAP_BITS | DR6_GENERAL_DETECT | DR_STEP | DR_SWITCH)
/* Say that something happened by being 0: bus locks, transactions. */
#define DR6_INVERTED	(DR_BUS_LOCK | BIT(16))

void slat_debug_payload(struct slat_vcpu *vcpu, u64 bits)
{
	u64 dr6, dr7;

	slat_hw->get_debug(vcpu, &dr6, &dr7);
	/* The bits of breakpoints tell of this #DB alone; the guest clears the others. */
	dr6 &= DR6_SETTABLE & ~DR_TRAP_BITS;
	dr6 |= DR6_RESERVED | (bits & DR6_SETTABLE);
	dr6 &= ~(bits & DR6_INVERTED);
	slat_hw->set_debug(vcpu, dr6, dr7 & ~DR7_GENERAL_DETECT);
}

/* DR6 and DR7, with the bits that are always the same. */
static void write_control(struct slat_vcpu *vcpu, bool is_dr7, u64 value)
{
	u64 dr6, dr7;

	slat_hw->get_debug(vcpu, &dr6, &dr7);
	if (is_dr7)
		dr7 = (value & ~0xd000ULL) | SLAT_DR7_FIXED;
	else
		dr6 = (value & DR6_SETTABLE) | DR6_RESERVED;
	slat_hw->set_debug(vcpu, dr6, dr7);
}

int slat_debug_mov(struct slat_vcpu *vcpu, unsigned int nr, const u64 *value, u64 *result)
{
	const struct slat_mode *mode = &vcpu->mode;
	u64 dr6, dr7;

	if ((nr == 4 || nr == 5) && (mode->cr4 & X86_CR4_DE))
		return X86_TRAP_UD;
	if (mode->cpl || (value && nr >= 4 && *value >> 32))
		return X86_TRAP_GP;
	if (nr < 4) {
		*result = vcpu->dr[nr];
		if (value)
			vcpu->dr[nr] = *value;
		return 0;
	}
	slat_hw->get_debug(vcpu, &dr6, &dr7);
	*result = nr & 1 ? dr7 : dr6;
	if (value)
		write_control(vcpu, nr & 1, *value);
	return 0;
}

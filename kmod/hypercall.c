// SPDX-License-Identifier: GPL-2.0-only
/* VMMCALL, with KVM's numbers and answers. */
#include <linux/limits.h>
#include <linux/mm.h>
#include <linux/string.h>
#include <uapi/linux/kvm_para.h>

#include "hypercall.h"
#include "vcpu.h"

static void set_result(struct slat_vcpu *vcpu, u64 result)
{
	vcpu->gpr[SLAT_RAX] = vcpu->mode.cs_l ? result : (u32)result;
}

static int complete_call(struct slat_vcpu *vcpu)
{
	set_result(vcpu, READ_ONCE(vcpu->run->hypercall.ret));
	return 1;
}

/* The guest tells how it uses memory; the VMM may want to know. */
static int map_gpa_range(struct slat_vcpu *vcpu, const u64 args[3], bool is_64)
{
	struct kvm_run *run = vcpu->run;
	const u64 gpa = args[0], pages = args[1];

	if (!PAGE_ALIGNED(gpa) || !pages || pages > U64_MAX >> PAGE_SHIFT ||
	    gpa + (pages << PAGE_SHIFT) <= gpa) {
		set_result(vcpu, -KVM_EINVAL);
		return 1;
	}
	run->exit_reason = KVM_EXIT_HYPERCALL;
	memset(&run->hypercall, 0, sizeof(run->hypercall));
	run->hypercall.nr = KVM_HC_MAP_GPA_RANGE;
	memcpy(run->hypercall.args, args, 3 * sizeof(args[0]));
	slat_hypercall_set_mode(run, is_64);
	vcpu->complete = complete_call;
	return 0;
}

int slat_hypercall(struct slat_vcpu *vcpu)
{
	const struct slat_mode *mode = &vcpu->mode;
	const u64 *gpr = vcpu->gpr;
	u64 mask, args[3];

	mask = mode->cs_l ? ~0ULL : U32_MAX;
	args[0] = gpr[SLAT_RBX] & mask;
	args[1] = gpr[SLAT_RCX] & mask;
	args[2] = gpr[SLAT_RDX] & mask;
	if (!mode->cpl && (gpr[SLAT_RAX] & mask) == KVM_HC_MAP_GPA_RANGE &&
	    (READ_ONCE(vcpu->vm->hypercall_exits) & BIT(KVM_HC_MAP_GPA_RANGE)))
		return map_gpa_range(vcpu, args, mode->cs_l);
	set_result(vcpu, mode->cpl ? -KVM_EPERM : -KVM_ENOSYS);
	return 1;
}

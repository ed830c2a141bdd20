// SPDX-License-Identifier: GPL-2.0-only
/* VMMCALL, with KVM's numbers and answers. */
#include <linux/limits.h>
#include <linux/mm.h>
#include <linux/string.h>
#include <uapi/linux/kvm_para.h>
#include <uapi/linux/slat.h>

#include "hypercall.h"
#include "vcpu.h"

static void set_result(struct slat_vcpu *vcpu, u64 result)
{
	vcpu->gpr[SLAT_RAX] = vcpu->mode.cs_l ? result : (u32)result;
}

static int refuse(struct slat_vcpu *vcpu, int error)
{
	set_result(vcpu, -error);
	return 1;
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
	    gpa + (pages << PAGE_SHIFT) <= gpa)
		return refuse(vcpu, KVM_EINVAL);
	run->exit_reason = KVM_EXIT_HYPERCALL;
	memset(&run->hypercall, 0, sizeof(run->hypercall));
	run->hypercall.nr = KVM_HC_MAP_GPA_RANGE;
	memcpy(run->hypercall.args, args, 3 * sizeof(args[0]));
	slat_hypercall_set_mode(run, is_64);
	vcpu->complete = complete_call;
	return 0;
}

static int set_runstate(struct slat_vcpu *vcpu, const u64 args[3])
{
	const u64 id = args[0], address = args[1], flags = args[2];
	int ret;

	if (flags & ~(u64)SLAT_RUNSTATE_VIRTUAL)
		ret = -EINVAL;
	else if (id > U32_MAX)
		ret = -ESRCH;
	else if (flags & SLAT_RUNSTATE_VIRTUAL)
		ret = slat_runstate_set_virtual(vcpu, id, address);
	else
		ret = slat_runstate_set(vcpu->vm, id, address);
	set_result(vcpu, ret);
	return 1;
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
	if (mode->cpl)
		return refuse(vcpu, KVM_EPERM);
	switch (gpr[SLAT_RAX] & mask) {
	case KVM_HC_MAP_GPA_RANGE:
		if (READ_ONCE(vcpu->vm->hypercall_exits) & BIT(KVM_HC_MAP_GPA_RANGE))
			return map_gpa_range(vcpu, args, mode->cs_l);
		break;
	case SLAT_HC_SET_RUNSTATE:
		if (READ_ONCE(vcpu->vm->runstate_calls))
			return set_runstate(vcpu, args);
		break;
	}
	return refuse(vcpu, KVM_ENOSYS);
}

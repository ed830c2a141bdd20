// SPDX-License-Identifier: GPL-2.0-only
/* State of a vCPU besides its registers: what KVM's later ioctls move. */
#include <linux/minmax.h>
#include <linux/string.h>
#include <asm/fpu/xcr.h>
#include <asm/trapnr.h>

#include "access.h"
#include "regs.h"
#include "state.h"
#include "vcpu.h"

/* Extended state */

void slat_xsave_get(struct slat_vcpu *vcpu, struct kvm_xsave *xsave)
{
	fpu_copy_guest_fpstate_to_uabi(&vcpu->fpu, xsave->region, sizeof(xsave->region),
				       slat_cpuid_xcr0() | XFEATURE_MASK_FPSSE, 0);
}

int slat_xsave_set(struct slat_vcpu *vcpu, const struct kvm_xsave *xsave)
{
	/* No guest has protection keys. */
	u32 pkru = 0;

	return fpu_copy_uabi_to_guest_fpstate(&vcpu->fpu, xsave->region, slat_cpuid_xcr0(), &pkru);
}

void slat_xcrs_get(struct slat_vcpu *vcpu, struct kvm_xcrs *xcrs)
{
	memset(xcrs, 0, sizeof(*xcrs));
	xcrs->nr_xcrs = 1;
	xcrs->xcrs[0].xcr = XCR_XFEATURE_ENABLED_MASK;
	xcrs->xcrs[0].value = vcpu->xcr0;
}

int slat_xcrs_set(struct slat_vcpu *vcpu, const struct kvm_xcrs *xcrs)
{
	u32 i;

	if (!slat_cpuid_xcr0() || xcrs->flags || xcrs->nr_xcrs > KVM_MAX_XCRS)
		return -EINVAL;
	for (i = 0; i < xcrs->nr_xcrs; i++) {
		/* The first one counts; other registers are KVM's future. */
		if (xcrs->xcrs[i].xcr != XCR_XFEATURE_ENABLED_MASK)
			continue;
		if (!slat_cpuid_xcr0_valid(xcrs->xcrs[i].value))
			return -EINVAL;
		vcpu->xcr0 = xcrs->xcrs[i].value;
		break;
	}
	return 0;
}

/* Debug registers */

void slat_debugregs_get(struct slat_vcpu *vcpu, struct kvm_debugregs *regs)
{
	memset(regs, 0, sizeof(*regs));
	memcpy(regs->db, vcpu->dr, sizeof(regs->db));
	slat_hw->get_debug(vcpu, &regs->dr6, &regs->dr7);
}

int slat_debugregs_set(struct slat_vcpu *vcpu, const struct kvm_debugregs *regs)
{
	if (regs->flags || regs->dr6 >> 32 || regs->dr7 >> 32)
		return -EINVAL;
	memcpy(vcpu->dr, regs->db, sizeof(vcpu->dr));
	slat_hw->set_debug(vcpu, regs->dr6, regs->dr7);
	return 0;
}

/* System registers with the PDPTEs */

static bool is_pae(u64 cr0, u64 cr4, u64 efer)
{
	return (cr0 & X86_CR0_PG) && (cr4 & X86_CR4_PAE) && !(efer & EFER_LMA);
}

/* Both structures begin alike. */
static_assert(offsetof(struct kvm_sregs, interrupt_bitmap) == offsetof(struct kvm_sregs2, flags));

void slat_sregs2_get(struct slat_vcpu *vcpu, struct kvm_sregs2 *sregs2)
{
	struct kvm_sregs sregs;

	slat_sregs_get(vcpu, &sregs);
	memset(sregs2, 0, sizeof(*sregs2));
	memcpy(sregs2, &sregs, offsetof(struct kvm_sregs2, flags));
	if (is_pae(sregs.cr0, sregs.cr4, sregs.efer) &&
	    !slat_gpa_read(vcpu, sregs.cr3 & GENMASK_ULL(31, 5), sregs2->pdptrs,
			   sizeof(sregs2->pdptrs)))
		sregs2->flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
}

int slat_sregs2_set(struct slat_vcpu *vcpu, const struct kvm_sregs2 *sregs2)
{
	struct kvm_sregs sregs = {};

	if (sregs2->flags & ~(u64)KVM_SREGS2_FLAGS_PDPTRS_VALID)
		return -EINVAL;
	if (sregs2->flags && !is_pae(sregs2->cr0, sregs2->cr4, sregs2->efer))
		return -EINVAL;
	memcpy(&sregs, sregs2, offsetof(struct kvm_sregs2, flags));
	return slat_sregs_set(vcpu, &sregs);
}

/* Events */

static void get_exception(struct slat_vcpu *vcpu, struct kvm_vcpu_events *events)
{
	const struct slat_exception *ex = &vcpu->events.exception;

	if (READ_ONCE(vcpu->vm->exception_payload))
		events->flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
	else
		/* A VMM that does not know of payloads would lose it. */
		slat_inject_payload(vcpu);
	if (!ex->pending || slat_inject_is_triple(&vcpu->events))
		return;
	events->exception.injected = !ex->deferred;
	events->exception.pending = ex->deferred;
	events->exception.nr = ex->vector;
	events->exception.has_error_code = ex->has_error;
	events->exception.error_code = ex->error;
	events->exception_has_payload = ex->has_payload;
	events->exception_payload = ex->payload;
}

void slat_events_get(struct slat_vcpu *vcpu, struct kvm_vcpu_events *events)
{
	const struct slat_events *from = &vcpu->events;

	memset(events, 0, sizeof(*events));
	get_exception(vcpu, events);
	events->interrupt.injected = from->irq.queued || from->irq.taken;
	events->interrupt.nr = from->irq.vector;
	/* SVM does not tell which instruction it was. */
	if (from->shadow)
		events->interrupt.shadow = KVM_X86_SHADOW_INT_MOV_SS | KVM_X86_SHADOW_INT_STI;
	events->nmi.injected = from->nmi.taken;
	events->nmi.pending = !!from->nmi.queued;
	events->nmi.masked = from->nmi.masked;
	events->flags |= KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW |
			 KVM_VCPUEVENT_VALID_SMM;
	if (READ_ONCE(vcpu->vm->triple_fault_event)) {
		events->triple_fault.pending = slat_inject_is_triple(&vcpu->events);
		events->flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	}
}

/* The VMM sets one that has not changed the guest's registers yet. */
static bool is_deferred(const struct kvm_vcpu_events *events)
{
	return (events->flags & KVM_VCPUEVENT_VALID_PAYLOAD) && events->exception.pending;
}

static bool events_valid(struct slat_vcpu *vcpu, const struct kvm_vcpu_events *events)
{
	if (events->flags & ~SLAT_EVENTS_FLAGS)
		return false;
	if ((events->flags & KVM_VCPUEVENT_VALID_PAYLOAD) &&
	    !READ_ONCE(vcpu->vm->exception_payload))
		return false;
	if ((events->exception.injected || is_deferred(events)) &&
	    (events->exception.nr > 31 || events->exception.nr == X86_TRAP_NMI))
		return false;
	if ((events->flags & KVM_VCPUEVENT_VALID_SMM) && (events->smi.smm || events->smi.pending))
		return false;
	return !(events->flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT) ||
	       READ_ONCE(vcpu->vm->triple_fault_event);
}

/* As slat_inject_set_irq() for an interrupt. */
static bool puts_back_exception(struct slat_vcpu *vcpu, const struct kvm_vcpu_events *events)
{
	const struct slat_exception *ex = &vcpu->events.exception;

	return vcpu->inner && ex->pending && !ex->taken && ex->vector == events->exception.nr;
}

static void set_exception(struct slat_vcpu *vcpu, const struct kvm_vcpu_events *events)
{
	const bool keep_triple = slat_inject_is_triple(&vcpu->events) &&
				 !(events->flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT);
	struct slat_exception *ex = &vcpu->events.exception;
	const bool deferred = is_deferred(events);

	if (keep_triple)
		return;
	*ex = (struct slat_exception) {
		.pending = events->exception.injected || deferred,
		.taken = events->exception.injected && !deferred &&
			 !puts_back_exception(vcpu, events),
		.deferred = deferred,
		.vector = events->exception.nr,
		.has_error = events->exception.has_error_code,
		.error = events->exception.error_code,
		.has_payload = deferred && events->exception_has_payload,
		.payload = deferred && events->exception_has_payload ?
			   events->exception_payload : 0,
	};
	if ((events->flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT) && events->triple_fault.pending)
		*ex = (struct slat_exception) { .pending = true, .vector = SLAT_TRIPLE_FAULT };
}

static void set_nmi(struct slat_nmi *nmi, const struct kvm_vcpu_events *events)
{
	nmi->taken = events->nmi.injected;
	nmi->masked = events->nmi.masked;
	if (events->flags & KVM_VCPUEVENT_VALID_NMI_PENDING)
		nmi->queued = min_t(unsigned int, events->nmi.pending,
				    SLAT_NMIS_MAX - (nmi->masked || nmi->taken));
}

int slat_events_set(struct slat_vcpu *vcpu, const struct kvm_vcpu_events *events)
{
	if (!events_valid(vcpu, events))
		return -EINVAL;
	set_exception(vcpu, events);
	if (events->interrupt.injected)
		slat_inject_set_irq(vcpu, events->interrupt.nr);
	else
		vcpu->events.irq = (struct slat_irq) {};
	if (events->flags & KVM_VCPUEVENT_VALID_SHADOW)
		vcpu->events.shadow = events->interrupt.shadow;
	set_nmi(&vcpu->events.nmi, events);
	return 0;
}

/* Registers in kvm_run, which the VMM may change at any moment: copied once. */

static int sync_fields_in(struct slat_vcpu *vcpu, u64 dirty)
{
	struct kvm_sync_regs regs;
	int ret = 0;

	memcpy(&regs, &vcpu->run->s.regs, sizeof(regs));
	barrier();
	if (dirty & KVM_SYNC_X86_REGS)
		slat_regs_set(vcpu, &regs.regs);
	if (dirty & KVM_SYNC_X86_SREGS)
		ret = slat_sregs_set(vcpu, &regs.sregs);
	if (!ret && (dirty & KVM_SYNC_X86_EVENTS))
		ret = slat_events_set(vcpu, &regs.events);
	return ret;
}

int slat_sync_in(struct slat_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	const u64 dirty = READ_ONCE(run->kvm_dirty_regs);
	int ret;

	if ((READ_ONCE(run->kvm_valid_regs) | dirty) & ~(u64)SLAT_SYNC_FIELDS)
		return -EINVAL;
	if (!dirty)
		return 0;
	ret = sync_fields_in(vcpu, dirty);
	if (!ret)
		run->kvm_dirty_regs = 0;
	return ret;
}

void slat_sync_out(struct slat_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	const u64 valid = READ_ONCE(run->kvm_valid_regs);
	struct kvm_sync_regs *regs = &run->s.regs;

	if (valid & KVM_SYNC_X86_REGS)
		slat_regs_get(vcpu, &regs->regs);
	if (valid & KVM_SYNC_X86_SREGS)
		slat_sregs_get(vcpu, &regs->sregs);
	if (valid & KVM_SYNC_X86_EVENTS)
		slat_events_get(vcpu, &regs->events);
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1, B4, B7: the parts of a vCPU's state that KVM's later ioctls move: XSAVE,
 * XCRS, debug registers, SREGS2, events, MP state, TSC frequency and offset,
 * translation.
 */
#include "harness.h"

VM_FIXTURE(state);

#define EFAULT_FOR_ALL(request)						\
	do {								\
		const void *const *bad;					\
									\
		for (bad = bad_pointers; *bad; bad++) {			\
			EXPECT_EQ(-EFAULT,				\
				  try_ioctl_ptr(self->vcpu->fd, request, *bad)); \
		}							\
	} while (0)

static int xsave_ioctl(struct vcpu *vcpu, unsigned long request, void *xsave)
{
	return try_ioctl_ptr(vcpu->fd, request, xsave);
}

/* --- XSAVE */

#define XSTATE_BV	(512 / 4)	/* in kvm_xsave.region */
#define XMM0		(160 / 4)
#define MXCSR		(24 / 4)

static void guest_xmm(uint64_t unused)
{
	uint64_t low;

	write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT);
	asm volatile("movq %0, %%xmm0" : : "r"(0x1122334455667788ul));
	guest_report(1, 0);
	asm volatile("movq %%xmm0, %0" : "=r"(low));
	guest_report(2, low);
}

TEST_F(state, xsave)
{
	struct kvm_xsave *xsave = mem_before_hole(sizeof(*xsave));
	struct vcpu *vcpu = self->vcpu;

	EXPECT_EQ(1, slat_check_extension(KVM_CAP_XSAVE));
	EXPECT_LE(sizeof(*xsave), slat_check_extension(KVM_CAP_XSAVE2));
	guest_enter_c(vcpu, guest_xmm, 0);
	vcpu_await(vcpu, 1);
	ASSERT_EQ(0, xsave_ioctl(vcpu, KVM_GET_XSAVE, xsave));
	EXPECT_EQ(0x55667788, xsave->region[XMM0]);
	EXPECT_EQ(0x11223344, xsave->region[XMM0 + 1]);
	/* The x87 is as it was at first, which the CPU need not tell. */
	EXPECT_EQ(2, xsave->region[XSTATE_BV] & 2);
	xsave->region[XMM0] = 0x99999999;
	ASSERT_EQ(0, xsave_ioctl(vcpu, KVM_SET_XSAVE, xsave));
	xsave->region[XMM0] = 0;
	ASSERT_EQ(0, xsave_ioctl(vcpu, KVM_GET_XSAVE2, xsave));
	EXPECT_EQ(0x99999999, xsave->region[XMM0]);
	EXPECT_EQ(0x1122334499999999, vcpu_await(vcpu, 2));
}

TEST_F(state, xsave_refusals)
{
	struct kvm_xsave *xsave = mem_before_hole(sizeof(*xsave));
	struct vcpu *vcpu = self->vcpu;

	ASSERT_EQ(0, xsave_ioctl(vcpu, KVM_GET_XSAVE, xsave));
	xsave->region[XSTATE_BV] |= 3;
	xsave->region[MXCSR] = 0xffffffff;
	EXPECT_EQ(-EINVAL, xsave_ioctl(vcpu, KVM_SET_XSAVE, xsave));
	xsave->region[MXCSR] = 0x1f80;
	if (slat_check_extension(KVM_CAP_XCRS)) {
		/* A part that nobody has; the compacted form; reserved bytes. */
		xsave->region[XSTATE_BV + 1] = 1u << 30;
		EXPECT_EQ(-EINVAL, xsave_ioctl(vcpu, KVM_SET_XSAVE, xsave));
		xsave->region[XSTATE_BV + 1] = 0;
		xsave->region[XSTATE_BV + 3] = 1u << 31;
		EXPECT_EQ(-EINVAL, xsave_ioctl(vcpu, KVM_SET_XSAVE, xsave));
		xsave->region[XSTATE_BV + 3] = 0;
		xsave->region[XSTATE_BV + 5] = 1;
		EXPECT_EQ(-EINVAL, xsave_ioctl(vcpu, KVM_SET_XSAVE, xsave));
		xsave->region[XSTATE_BV + 5] = 0;
	}
	EXPECT_EQ(0, xsave_ioctl(vcpu, KVM_SET_XSAVE, xsave));
	EFAULT_FOR_ALL(KVM_SET_XSAVE);
	EFAULT_FOR_ALL(KVM_GET_XSAVE);
	EFAULT_FOR_ALL(KVM_GET_XSAVE2);
	EXPECT_EQ(-EFAULT, xsave_ioctl(vcpu, KVM_GET_XSAVE,
				       mem_before_hole(sizeof(*xsave) - 1)));
	EXPECT_EQ(-EFAULT, xsave_ioctl(vcpu, KVM_SET_XSAVE,
				       mem_before_hole(sizeof(*xsave) - 1)));
}

/* --- caches */

static void guest_cr0(uint64_t unused)
{
	const uint64_t cr0 = read_cr0();

	guest_report(1, cr0);
	write_cr0(cr0 ^ CR0_WP);
	guest_report(2, 0);
	write_cr0(cr0 | CR0_CD);
	guest_report(3, 0);
}

/* B1, B4: what the VMM sets is kept for it, until the guest decides. */
TEST_F(state, caches_are_the_guests_to_switch_off)
{
	struct kvm_sregs sregs;
	uint64_t seen;

	guest_enter_c(self->vcpu, guest_cr0, 0);
	vcpu_get_sregs(self->vcpu, &sregs);
	sregs.cr0 |= CR0_CD | CR0_NW;
	vcpu_set_sregs(self->vcpu, &sregs);
	seen = vcpu_await(self->vcpu, 1);
	vcpu_get_sregs(self->vcpu, &sregs);
	EXPECT_EQ(CR0_CD | CR0_NW, sregs.cr0 & (CR0_CD | CR0_NW));
	if (slat_is_kvm())
		SKIP(return, "KVM's guests read what the VMM set");
	/* VT-x has a copy of CR0 to read from, SVM has not. */
	EXPECT_EQ(guest_has_vmcall ? CR0_CD | CR0_NW : 0, seen & (CR0_CD | CR0_NW));
	vcpu_await(self->vcpu, 2);
	vcpu_get_sregs(self->vcpu, &sregs);
	EXPECT_EQ(seen ^ CR0_WP, sregs.cr0);
	vcpu_await(self->vcpu, 3);
	vcpu_get_sregs(self->vcpu, &sregs);
	EXPECT_EQ(seen | CR0_CD, sregs.cr0);
}

/* --- XCRS */

static void guest_xcr0(uint64_t unused)
{
	write_cr4(read_cr4() | CR4_OSXSAVE);
	guest_report(1, read_xcr0());
}

TEST_F(state, xcrs)
{
	struct kvm_xcrs xcrs;

	if (!slat_check_extension(KVM_CAP_XCRS))
		SKIP(return, "no XSAVE");
	must_ioctl(self->vcpu->fd, KVM_GET_XCRS, &xcrs);
	EXPECT_EQ(1, xcrs.nr_xcrs);
	EXPECT_EQ(0, xcrs.xcrs[0].xcr);
	EXPECT_EQ(1, xcrs.xcrs[0].value);
	xcrs.xcrs[0].value = 3;
	must_ioctl(self->vcpu->fd, KVM_SET_XCRS, &xcrs);
	must_ioctl(self->vcpu->fd, KVM_GET_XCRS, &xcrs);
	EXPECT_EQ(3, xcrs.xcrs[0].value);
	guest_enter_c(self->vcpu, guest_xcr0, 0);
	EXPECT_EQ(3, vcpu_await(self->vcpu, 1));
}

TEST_F(state, xcrs_refusals)
{
	static const uint64_t bad[] = { 0, 2, 5, 1ul << 62, -1ul };
	struct kvm_xcrs xcrs = { .nr_xcrs = 1 };
	unsigned int i;

#define TRY_XCRS() try_ioctl_ptr(self->vcpu->fd, KVM_SET_XCRS, &xcrs)
	if (!slat_check_extension(KVM_CAP_XCRS))
		SKIP(return, "no XSAVE");
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		xcrs.xcrs[0].value = bad[i];
		EXPECT_EQ(-EINVAL, TRY_XCRS());
	}
	xcrs.xcrs[0].value = 1;
	EXPECT_EQ(0, TRY_XCRS());
	xcrs.flags = 1;
	EXPECT_EQ(-EINVAL, TRY_XCRS());
	xcrs.flags = 0;
	xcrs.nr_xcrs = KVM_MAX_XCRS + 1;
	EXPECT_EQ(-EINVAL, TRY_XCRS());
	xcrs.nr_xcrs = -1u;
	EXPECT_EQ(-EINVAL, TRY_XCRS());
	EFAULT_FOR_ALL(KVM_SET_XCRS);
	EFAULT_FOR_ALL(KVM_GET_XCRS);
}

/* --- debug registers */

#define DR7_FIXED	0x400ul

static void guest_debug_registers(uint64_t unused)
{
	guest_report(1, read_dr0());
	guest_report(2, read_dr3());
	guest_report(3, read_dr6());
	guest_report(4, read_dr7());
	write_dr1(0x4444);
	guest_report(5, 0);
}

TEST_F(state, debugregs)
{
	struct vcpu *vcpu = self->vcpu;
	struct kvm_debugregs regs;

	EXPECT_EQ(1, slat_check_extension(KVM_CAP_DEBUGREGS));
	must_ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &regs);
	EXPECT_EQ(0, regs.db[0]);
	EXPECT_EQ(0xffff0ff0, regs.dr6);
	EXPECT_EQ(DR7_FIXED, regs.dr7);
	regs.db[0] = 0x123456789abc;
	regs.db[3] = 0x3333;
	regs.dr6 = 0xffff4ff0;
	must_ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &regs);
	guest_enter_c(vcpu, guest_debug_registers, 0);
	EXPECT_EQ(0x123456789abc, vcpu_await(vcpu, 1));
	EXPECT_EQ(0x3333, vcpu_await(vcpu, 2));
	EXPECT_EQ(0xffff4ff0, vcpu_await(vcpu, 3));
	EXPECT_EQ(DR7_FIXED, vcpu_await(vcpu, 4));
	vcpu_await(vcpu, 5);
	must_ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &regs);
	EXPECT_EQ(0x4444, regs.db[1]);
	EXPECT_EQ(0, regs.flags);
}

TEST_F(state, debugregs_refusals)
{
	struct kvm_debugregs regs, now;

#define TRY_DEBUGREGS() try_ioctl_ptr(self->vcpu->fd, KVM_SET_DEBUGREGS, &regs)
	must_ioctl(self->vcpu->fd, KVM_GET_DEBUGREGS, &regs);
	regs.db[2] = 5;
	regs.flags = 1;
	EXPECT_EQ(-EINVAL, TRY_DEBUGREGS());
	regs.flags = 0;
	regs.dr6 |= 1ul << 32;
	EXPECT_EQ(-EINVAL, TRY_DEBUGREGS());
	regs.dr6 = 0xffff0ff0;
	regs.dr7 |= 1ul << 63;
	EXPECT_EQ(-EINVAL, TRY_DEBUGREGS());
	must_ioctl(self->vcpu->fd, KVM_GET_DEBUGREGS, &now);
	EXPECT_EQ(0, now.db[2]);
	EFAULT_FOR_ALL(KVM_SET_DEBUGREGS);
	EFAULT_FOR_ALL(KVM_GET_DEBUGREGS);
}

/* --- SREGS2 */

static void guest_cr2(uint64_t unused)
{
	guest_report(1, read_cr2());
}

TEST_F(state, sregs2)
{
	struct vcpu *vcpu = self->vcpu;
	struct kvm_sregs2 sregs2;
	struct kvm_sregs sregs;

	if (cpu_is_bochs_svm())
		SKIP(return, "Bochs' VMRUN does not load CR2");
	EXPECT_EQ(1, slat_check_extension(KVM_CAP_SREGS2));
	guest_enter_c(vcpu, guest_cr2, 0);
	must_ioctl(vcpu->fd, KVM_GET_SREGS2, &sregs2);
	vcpu_get_sregs(vcpu, &sregs);
	EXPECT_EQ(0, memcmp(&sregs, &sregs2, offsetof(struct kvm_sregs2, flags)));
	EXPECT_EQ(0, sregs2.flags);
	sregs2.cr2 = 0x7777;
	must_ioctl(vcpu->fd, KVM_SET_SREGS2, &sregs2);
	EXPECT_EQ(0x7777, vcpu_await(vcpu, 1));

	sregs2.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;	/* not with 4 levels */
	EXPECT_EQ(-EINVAL, try_ioctl_ptr(vcpu->fd, KVM_SET_SREGS2, &sregs2));
	sregs2.flags = 2;
	EXPECT_EQ(-EINVAL, try_ioctl_ptr(vcpu->fd, KVM_SET_SREGS2, &sregs2));
	sregs2.flags = 0;
	sregs2.cr0 |= 1ul << 40;
	EXPECT_EQ(-EINVAL, try_ioctl_ptr(vcpu->fd, KVM_SET_SREGS2, &sregs2));
	EFAULT_FOR_ALL(KVM_SET_SREGS2);
	EFAULT_FOR_ALL(KVM_GET_SREGS2);
}

TEST_F(state, sregs2_pae)
{
	struct vcpu *vcpu = self->vcpu;
	struct kvm_sregs2 sregs2;
	uint64_t *root;

	guest_enter_prot(vcpu, VM_CODE_GPA, PAGING_PAE);
	must_ioctl(vcpu->fd, KVM_GET_SREGS2, &sregs2);
	EXPECT_EQ(KVM_SREGS2_FLAGS_PDPTRS_VALID, sregs2.flags);
	root = vm_ptr(self->vm, sregs2.cr3);
	EXPECT_EQ(0, memcmp(root, sregs2.pdptrs, sizeof(sregs2.pdptrs)));
	EXPECT_EQ(0, try_ioctl_ptr(vcpu->fd, KVM_SET_SREGS2, &sregs2));
}

/* --- events */

static volatile uint64_t exceptions, nmis;

GUEST_HANDLER static void guest_de(struct guest_frame *frame)
{
	exceptions++;
}

GUEST_HANDLER static void guest_nmi(struct guest_frame *frame)
{
	nmis++;
}

static void guest_counts(uint64_t unused)
{
	guest_handlers[DE_VECTOR] = guest_de;
	guest_handlers[2] = guest_nmi;
	for (;;) {
		guest_report(1, exceptions);
		guest_report(2, nmis);
	}
}

TEST_F(state, events)
{
	struct kvm_vcpu_events events;
	struct vcpu *vcpu = self->vcpu;

	EXPECT_EQ(1, slat_check_extension(KVM_CAP_VCPU_EVENTS));
	guest_enter_c(vcpu, guest_counts, 0);
	EXPECT_EQ(0, vcpu_await(vcpu, 1));
	EXPECT_EQ(0, vcpu_await(vcpu, 2));
	must_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events);
	EXPECT_EQ(0, events.exception.injected);
	EXPECT_EQ(0, events.interrupt.injected);
	EXPECT_EQ(0, events.nmi.masked);
	/* What is set is read again, and then it happens. */
	events.exception.injected = 1;
	events.exception.nr = DE_VECTOR;
	must_ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events);
	memset(&events, 0, sizeof(events));
	must_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events);
	EXPECT_EQ(1, events.exception.injected);
	EXPECT_EQ(DE_VECTOR, events.exception.nr);
	EXPECT_EQ(1, vcpu_await(vcpu, 1));
	must_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events);
	EXPECT_EQ(0, events.exception.injected);
	events.nmi.pending = 1;
	must_ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events);
	EXPECT_EQ(1, vcpu_await(vcpu, 2));
	must_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events);
	EXPECT_EQ(0, events.nmi.pending);
	/* One that was asked for can be taken back. */
	must_ioctl(vcpu->fd, KVM_NMI, 0);
	must_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events);
	EXPECT_EQ(1, events.nmi.pending);
	events.nmi.pending = 0;
	must_ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events);
	EXPECT_EQ(1, vcpu_await(vcpu, 1));
	EXPECT_EQ(1, vcpu_await(vcpu, 2));
}

TEST_F(state, events_shadow)
{
	struct kvm_vcpu_events events;

	guest_enter_c(self->vcpu, guest_counts, 0);
	must_ioctl(self->vcpu->fd, KVM_GET_VCPU_EVENTS, &events);
	EXPECT_EQ(0, events.interrupt.shadow);
	events.interrupt.shadow = KVM_X86_SHADOW_INT_STI;
	must_ioctl(self->vcpu->fd, KVM_SET_VCPU_EVENTS, &events);
	must_ioctl(self->vcpu->fd, KVM_GET_VCPU_EVENTS, &events);
	EXPECT_TRUE(events.interrupt.shadow & KVM_X86_SHADOW_INT_STI);
	events.interrupt.shadow = 0;
	must_ioctl(self->vcpu->fd, KVM_SET_VCPU_EVENTS, &events);
	must_ioctl(self->vcpu->fd, KVM_GET_VCPU_EVENTS, &events);
	EXPECT_EQ(0, events.interrupt.shadow);
}

TEST_F(state, events_refusals)
{
	struct kvm_vcpu_events events, good;
	unsigned int i;

#define TRY_EVENTS() try_ioctl_ptr(self->vcpu->fd, KVM_SET_VCPU_EVENTS, &events)
	must_ioctl(self->vcpu->fd, KVM_GET_VCPU_EVENTS, &good);
	for (i = 4; i < 32; i++) {
		events = good;
		events.flags = 1u << i;
		EXPECT_EQ(-EINVAL, TRY_EVENTS());
	}
	events = good;
	events.exception.injected = 1;
	events.exception.nr = 32;
	EXPECT_EQ(-EINVAL, TRY_EVENTS());
	events.exception.nr = 2;
	EXPECT_EQ(-EINVAL, TRY_EVENTS());
	events = good;
	events.smi.smm = 1;
	if (!slat_is_kvm())
		EXPECT_EQ(-EINVAL, TRY_EVENTS());
	events = good;
	EXPECT_EQ(0, TRY_EVENTS());
	EFAULT_FOR_ALL(KVM_SET_VCPU_EVENTS);
	EFAULT_FOR_ALL(KVM_GET_VCPU_EVENTS);
}

TEST_F(state, triple_fault)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_X86_TRIPLE_FAULT_EVENT, .args = { 1 },
	};
	struct kvm_vcpu_events events;
	struct vcpu *vcpu = self->vcpu;

	must_ioctl(self->vm->fd, KVM_ENABLE_CAP, &cap);
	guest_enter_c(vcpu, guest_counts, 0);
	must_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events);
	EXPECT_TRUE(events.flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT);
	EXPECT_EQ(0, events.triple_fault.pending);
	events.triple_fault.pending = 1;
	must_ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events);
	must_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events);
	EXPECT_EQ(1, events.triple_fault.pending);
	EXPECT_EQ(0, events.exception.injected);
	vcpu_run_to(vcpu, KVM_EXIT_SHUTDOWN);
}

/* --- exceptions whose registers the VMM leaves to KVM_RUN */

static volatile uint64_t last_vector, last_error, last_cr2, last_dr6, last_dr7;

GUEST_HANDLER static void guest_note(struct guest_frame *frame)
{
	last_vector = frame->vector;
	last_error = frame->error;
	last_cr2 = read_cr2();
	last_dr6 = read_dr6();
	last_dr7 = read_dr7();
}

static void guest_notes(uint64_t unused)
{
	guest_handlers[DB_VECTOR] = guest_note;
	guest_handlers[PF_VECTOR] = guest_note;
	for (;;) {
		guest_report(1, last_vector);
		guest_report(2, last_error);
		guest_report(3, last_cr2);
		guest_report(4, last_dr6);
		guest_report(5, last_dr7);
	}
}

static void enable_payload(struct vm *vm, uint64_t on)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_EXCEPTION_PAYLOAD, .args = { on },
	};

	must_ioctl(vm->fd, KVM_ENABLE_CAP, &cap);
}

static void set_payload(struct vcpu *vcpu, uint8_t vector, uint64_t payload)
{
	struct kvm_vcpu_events events;

	must_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events);
	events.flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
	events.exception.pending = 1;
	events.exception.nr = vector;
	events.exception.has_error_code = vector == PF_VECTOR;
	events.exception.error_code = vector == PF_VECTOR ? PF_USER : 0;
	events.exception_has_payload = 1;
	events.exception_payload = payload;
	must_ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events);
}

TEST_F(state, payload_pf)
{
	const uint64_t cr2 = 0xffff800012345678;
	struct vcpu *vcpu = self->vcpu;
	struct kvm_vcpu_events events;
	struct kvm_sregs sregs;
	unsigned int i;

	if (cpu_is_bochs_svm())
		SKIP(return, "Bochs' VMRUN does not load CR2");
	EXPECT_EQ(1, slat_check_extension(KVM_CAP_EXCEPTION_PAYLOAD));
	enable_payload(self->vm, 1);
	guest_enter_c(vcpu, guest_notes, 0);
	vcpu_await(vcpu, 1);
	set_payload(vcpu, PF_VECTOR, cr2);
	/* It waits, also over a KVM_RUN that does not get to the guest. */
	vcpu->run->immediate_exit = 1;
	EXPECT_EQ(-EINTR, vcpu_try_run(vcpu));
	vcpu->run->immediate_exit = 0;
	must_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events);
	EXPECT_TRUE(events.flags & KVM_VCPUEVENT_VALID_PAYLOAD);
	EXPECT_EQ(1, events.exception.pending);
	EXPECT_EQ(0, events.exception.injected);
	EXPECT_EQ(PF_VECTOR, events.exception.nr);
	EXPECT_EQ(PF_USER, events.exception.error_code);
	EXPECT_EQ(1, events.exception_has_payload);
	EXPECT_EQ(cr2, events.exception_payload);
	vcpu_get_sregs(vcpu, &sregs);
	EXPECT_EQ(0, sregs.cr2);
	/* Then it happens. */
	for (i = 2; i <= 5; i++)
		vcpu_await(vcpu, i);
	EXPECT_EQ(PF_VECTOR, vcpu_await(vcpu, 1));
	EXPECT_EQ(PF_USER, vcpu_await(vcpu, 2));
	EXPECT_EQ(cr2, vcpu_await(vcpu, 3));
	must_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events);
	EXPECT_EQ(0, events.exception.pending);
	EXPECT_EQ(0, events.exception_has_payload);
}

TEST_F(state, payload_db)
{
	struct vcpu *vcpu = self->vcpu;
	struct kvm_debugregs regs;
	unsigned int i;

	if (cpu_is_bochs_svm())
		SKIP(return, "Bochs' VMRUN does not load CR2");
	enable_payload(self->vm, 1);
	guest_enter_c(vcpu, guest_notes, 0);
	vcpu_await(vcpu, 1);
	must_ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &regs);
	regs.dr6 = 0xffff8ff1;	/* a breakpoint, and a task switch */
	regs.dr7 |= 1ul << 13;	/* general detect */
	must_ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &regs);
	/* Single step, no bus lock: inverted; and bits that DR6 does not have. */
	set_payload(vcpu, DB_VECTOR, -1ul << 32 | 1u << 14 | 1u << 12 |
				     1u << 11 | 1u << 1);
	for (i = 2; i <= 5; i++)
		vcpu_await(vcpu, i);
	EXPECT_EQ(DB_VECTOR, vcpu_await(vcpu, 1));
	vcpu_await(vcpu, 2);
	EXPECT_EQ(0, vcpu_await(vcpu, 3));
	/* Without bus lock detection, as on most CPUs, that bit is fixed. */
	EXPECT_EQ(0xffffcff2, vcpu_await(vcpu, 4) | 1u << 11);
	EXPECT_EQ(DR7_FIXED, vcpu_await(vcpu, 5));
}

/* Injected as ever: the registers are as the VMM has set them. */
TEST_F(state, payload_injected)
{
	struct vcpu *vcpu = self->vcpu;
	struct kvm_vcpu_events events;
	unsigned int i;

	if (cpu_is_bochs_svm())
		SKIP(return, "Bochs' VMRUN does not load CR2");
	enable_payload(self->vm, 1);
	guest_enter_c(vcpu, guest_notes, 0);
	vcpu_await(vcpu, 1);
	must_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events);
	events.exception.injected = 1;
	events.exception.nr = PF_VECTOR;
	events.exception.has_error_code = 1;
	events.exception_has_payload = 1;
	events.exception_payload = 0x1234;
	must_ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events);
	must_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events);
	EXPECT_EQ(1, events.exception.injected);
	EXPECT_EQ(0, events.exception.pending);
	EXPECT_EQ(0, events.exception_has_payload);
	for (i = 2; i <= 5; i++)
		vcpu_await(vcpu, i);
	EXPECT_EQ(PF_VECTOR, vcpu_await(vcpu, 1));
	vcpu_await(vcpu, 2);
	EXPECT_EQ(0, vcpu_await(vcpu, 3));
}

/* A VMM that switches it off is told what the guest will see. */
TEST_F(state, payload_off)
{
	struct vcpu *vcpu = self->vcpu;
	struct kvm_vcpu_events events;
	struct kvm_sregs sregs;

	guest_enter_c(vcpu, guest_notes, 0);
	enable_payload(self->vm, 1);
	set_payload(vcpu, PF_VECTOR, 0x5678);
	enable_payload(self->vm, 0);
	must_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events);
	EXPECT_EQ(0, events.flags & KVM_VCPUEVENT_VALID_PAYLOAD);
	EXPECT_EQ(1, events.exception.injected);
	vcpu_get_sregs(vcpu, &sregs);
	EXPECT_EQ(0x5678, sregs.cr2);
	events.flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
	EXPECT_EQ(-EINVAL, try_ioctl_ptr(vcpu->fd, KVM_SET_VCPU_EVENTS, &events));
}

TEST_F(state, payload_refusals)
{
	struct kvm_vcpu_events events;

	enable_payload(self->vm, 1);
	must_ioctl(self->vcpu->fd, KVM_GET_VCPU_EVENTS, &events);
	events.exception.pending = 1;
	events.exception.nr = 32;
	EXPECT_EQ(-EINVAL, TRY_EVENTS());
	events.exception.nr = 2;
	EXPECT_EQ(-EINVAL, TRY_EVENTS());
	events.exception.nr = DE_VECTOR;
	EXPECT_EQ(0, TRY_EVENTS());
}

/* --- capabilities of a vCPU */

TEST_F(state, enable_cap)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_ENFORCE_PV_FEATURE_CPUID };
	int fd = self->vcpu->fd;

	EXPECT_EQ(1, slat_check_extension(KVM_CAP_ENFORCE_PV_FEATURE_CPUID));
	EXPECT_EQ(0, try_ioctl_ptr(fd, KVM_ENABLE_CAP, &cap));
	cap.args[0] = 1;
	EXPECT_EQ(0, try_ioctl_ptr(fd, KVM_ENABLE_CAP, &cap));
	cap.flags = 1;
	EXPECT_EQ(-EINVAL, try_ioctl_ptr(fd, KVM_ENABLE_CAP, &cap));
	cap.flags = 0;
	/* A VM's, and nobody's. */
	cap.cap = KVM_CAP_MAX_VCPU_ID;
	EXPECT_EQ(-EINVAL, try_ioctl_ptr(fd, KVM_ENABLE_CAP, &cap));
	cap.cap = 0x7fffffff;
	EXPECT_EQ(-EINVAL, try_ioctl_ptr(fd, KVM_ENABLE_CAP, &cap));
	EFAULT_FOR_ALL(KVM_ENABLE_CAP);
}

/* --- MP state, TSC */

TEST_F(state, mp_state)
{
	struct kvm_mp_state state = { .mp_state = 77 };
	unsigned int i;

	EXPECT_EQ(1, slat_check_extension(KVM_CAP_MP_STATE));
	must_ioctl(self->vcpu->fd, KVM_GET_MP_STATE, &state);
	EXPECT_EQ(KVM_MP_STATE_RUNNABLE, state.mp_state);
	EXPECT_EQ(0, try_ioctl_ptr(self->vcpu->fd, KVM_SET_MP_STATE, &state));
	for (i = 1; i < 20; i++) {
		state.mp_state = i;
		EXPECT_EQ(-EINVAL, try_ioctl_ptr(self->vcpu->fd,
						 KVM_SET_MP_STATE, &state));
	}
	EFAULT_FOR_ALL(KVM_SET_MP_STATE);
	EFAULT_FOR_ALL(KVM_GET_MP_STATE);
}

TEST_F(state, tsc_khz)
{
	int fd = self->vcpu->fd;
	int khz = try_ioctl(fd, KVM_GET_TSC_KHZ, 0);

	ASSERT_LT(0, khz);
	EXPECT_EQ(1, slat_check_extension(KVM_CAP_GET_TSC_KHZ));
	EXPECT_EQ(0, try_ioctl(fd, KVM_SET_TSC_KHZ, khz));
	EXPECT_EQ(0, try_ioctl(fd, KVM_SET_TSC_KHZ, 0));
	EXPECT_EQ(khz, try_ioctl(fd, KVM_GET_TSC_KHZ, 0));
	if (slat_check_extension(KVM_CAP_TSC_CONTROL))
		SKIP(return, "the TSC can be scaled");
	EXPECT_EQ(-EINVAL, try_ioctl(fd, KVM_SET_TSC_KHZ, khz / 2));
	EXPECT_EQ(khz, try_ioctl(fd, KVM_GET_TSC_KHZ, 0));
}

TEST_F(state, tsc_offset)
{
	uint64_t offset = 0, before, after;
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)&offset,
	};
	int fd = self->vcpu->fd;

	EXPECT_EQ(1, slat_check_extension(KVM_CAP_VCPU_ATTRIBUTES));
	EXPECT_EQ(0, try_ioctl_ptr(fd, KVM_HAS_DEVICE_ATTR, &attr));
	must_ioctl(fd, KVM_GET_DEVICE_ATTR, &attr);
	before = vcpu_get_msr(self->vcpu, MSR_TSC);
	offset += 1ul << 50;
	must_ioctl(fd, KVM_SET_DEVICE_ATTR, &attr);
	after = vcpu_get_msr(self->vcpu, MSR_TSC);
	EXPECT_LE(1ul << 50, after - before);
	EXPECT_GT((1ul << 50) + (1ul << 40), after - before);

	attr.addr = (uintptr_t)bad_pointers[0];
	EXPECT_EQ(-EFAULT, try_ioctl_ptr(fd, KVM_GET_DEVICE_ATTR, &attr));
	EXPECT_EQ(-EFAULT, try_ioctl_ptr(fd, KVM_SET_DEVICE_ATTR, &attr));
	attr.attr = 1;
	EXPECT_EQ(-ENXIO, try_ioctl_ptr(fd, KVM_HAS_DEVICE_ATTR, &attr));
	EXPECT_EQ(-ENXIO, try_ioctl_ptr(fd, KVM_SET_DEVICE_ATTR, &attr));
	attr.attr = 0;
	attr.group = 1;
	EXPECT_EQ(-ENXIO, try_ioctl_ptr(fd, KVM_GET_DEVICE_ATTR, &attr));
	EFAULT_FOR_ALL(KVM_HAS_DEVICE_ATTR);
	EFAULT_FOR_ALL(KVM_SET_DEVICE_ATTR);
}

/* --- translation */

static void guest_nothing(uint64_t unused)
{
}

TEST_F(state, translate)
{
	const uint64_t gva = 0x7f0000001000, accessed = PT_ACCESSED | PT_DIRTY;
	struct kvm_translation tr = { .linear_address = gva + 0x123 };
	struct vcpu *vcpu = self->vcpu;
	struct kvm_vcpu_events events;
	uint64_t *pte;

	guest_enter_c(vcpu, guest_nothing, 0);
	vm_map(self->vm, gva, VM_DATA_GPA, PAGE_SIZE, PT_PRESENT | PT_USER);
	pte = vm_pte(self->vm, gva);
	must_ioctl(vcpu->fd, KVM_TRANSLATE, &tr);
	EXPECT_EQ(1, tr.valid);
	EXPECT_EQ(VM_DATA_GPA + 0x123, tr.physical_address);
	EXPECT_EQ(0, *pte & accessed);
	*pte = 0;
	must_ioctl(vcpu->fd, KVM_TRANSLATE, &tr);
	EXPECT_EQ(0, tr.valid);
	EXPECT_EQ(-1ul, tr.physical_address);
	tr.linear_address = 1ul << 62;
	must_ioctl(vcpu->fd, KVM_TRANSLATE, &tr);
	EXPECT_EQ(0, tr.valid);
	must_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events);
	EXPECT_EQ(0, events.exception.injected);
	EFAULT_FOR_ALL(KVM_TRANSLATE);
	vcpu_await_done(vcpu);
}

TEST_F(state, translate_without_paging)
{
	struct kvm_translation tr = { .linear_address = 0x12345678 };

	must_ioctl(self->vcpu->fd, KVM_TRANSLATE, &tr);
	EXPECT_EQ(1, tr.valid);
	EXPECT_EQ(0x12345678, tr.physical_address);
}

SLAT_HARNESS_MAIN

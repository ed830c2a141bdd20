// SPDX-License-Identifier: GPL-2.0-only
/*
 * B1, B7: guests that are hypervisors and mean harm. L1 takes a valid VMCB, changes what it likes
 * in it, runs it, and goes on whatever comes of it, while its VMM interrupts it, changes its
 * state and takes memory away. A guest may come to any end and is started anew; KVM_RUN
 * returns when it should, with what it may, and afterwards the VM is as good as ever.
 */
#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "nested.h"
#include "racer.h"

#define SECONDS	4
#define LIVES	2		/* vCPUs that are at it */

SLOW_TESTS(nested);

/* --- L1 */

/* Of each vCPU, in the guest. */
static struct room {
	struct vmcb vmcb, draft;
	uint8_t iopm[3 * PAGE_SIZE], msrpm[2 * PAGE_SIZE];
	uint64_t stack[2 * PAGE_SIZE / 8];
	struct l2_regs regs;
	uint64_t seed;
	unsigned long rounds;
} __attribute__((aligned(4096))) rooms[LIVES];

static uint64_t roll(struct room *room, uint64_t sides)
{
	room->seed ^= room->seed << 13;
	room->seed ^= room->seed >> 7;
	room->seed ^= room->seed << 17;
	return room->seed % sides;
}

static uint64_t any_address(struct room *room)
{
	switch (roll(room, 8)) {
	case 0:
		return VM_MMIO_GPA + roll(room, 2) * 8;
	case 1:
		return 1ull << roll(room, 64);
	case 2:
		return -PAGE_SIZE * roll(room, 4);
	case 3:
		return roll(room, ~0ull);
	case 4:
		return (uintptr_t)room + roll(room, sizeof(*room));
	default:
		return VM_PLAY_GPA + roll(room, 2 * ARENA_SIZE);
	}
}

/* All of these return, and work in a mode of 32 bits as well. */
#define SNIPPET(text)	"	.quad 777f\n	.pushsection .text\n777:\n	" text "\n	ret\n	.popsection\n"

asm(".pushsection .data\n"
    "snippets:\n"
    SNIPPET("cpuid")
    SNIPPET("hlt")
    SNIPPET("sti\n hlt")
    SNIPPET("cli")
    SNIPPET("sti\n nop")
    SNIPPET("out %al, $0x80")
    SNIPPET("in $0x71, %eax")
    SNIPPET("mov $3, %ecx\n rep outsb")
    SNIPPET("insl")
    SNIPPET("mov $0xc0000080, %ecx\n rdmsr\n xor $0x1000, %eax\n wrmsr")
    SNIPPET("mov $0xc0000080, %ecx\n rdmsr\n xor $0x801, %eax\n wrmsr")
    SNIPPET("mov $0xc0010114, %ecx\n rdmsr\n wrmsr")
    SNIPPET("mov $0xc0010117, %ecx\n rdmsr\n add $0x1000, %eax\n wrmsr")
    SNIPPET("mov $0x10, %ecx\n rdmsr\n xor $0x100, %edx\n wrmsr")
    SNIPPET("mov $0xc0000102, %ecx\n rdmsr\n wrmsr")
    SNIPPET("mov $0x277, %ecx\n rdmsr\n wrmsr")
    SNIPPET("mov $0xc0002000, %ecx\n rdmsr")
    SNIPPET("vmmcall")
    SNIPPET("vmcall")
    SNIPPET("mov $l2_vmcb, %eax\n vmrun %rax")
    SNIPPET("mov $l2_vmcb, %eax\n vmload %rax")
    SNIPPET("mov $l2_vmcb, %eax\n vmsave %rax")
    SNIPPET("clgi")
    SNIPPET("stgi")
    SNIPPET("invlpga %rax, %ecx")
    SNIPPET("skinit %eax")
    SNIPPET("int $0x80")
    SNIPPET("int3")
    SNIPPET("int $2")
    SNIPPET("ud2")
    SNIPPET("mov %cr0, %rax\n xor $0x40008, %eax\n mov %rax, %cr0")
    SNIPPET("mov %cr0, %rax\n xor $0x40000000, %eax\n mov %rax, %cr0")
    SNIPPET("mov %cr0, %rax\n lmsw %ax\n clts")
    SNIPPET("mov %cr3, %rax\n mov %rax, %cr3")
    SNIPPET("mov %cr4, %rax\n xor $0x288, %eax\n mov %rax, %cr4")
    SNIPPET("mov $5, %eax\n mov %rax, %cr8")
    SNIPPET("mov %cr8, %rax")
    SNIPPET("mov %dr7, %rax\n mov %rax, %dr0")
    SNIPPET("mov %dr6, %rax\n mov %rax, %dr6")
    SNIPPET("mov $0x400, %eax\n mov %rax, %dr7")
    SNIPPET("mov $0xd0000000, %eax\n mov (%rax), %ecx")
    SNIPPET("mov $0xd0000000, %eax\n mov %ecx, 4(%rax)")
    SNIPPET("mov $0xd0000000, %eax\n addl $1, (%rax)")
    SNIPPET("mov $0x10000000, %eax\n mov %cl, (%rax)")
    SNIPPET("mov $0x10000000, %edi\n mov $0x800, %ecx\n rep stosl")
    SNIPPET("pushf\n orl $0x100, (%rsp)\n popf\n nop")
    SNIPPET("pushf\n orl $0x40200, (%rsp)\n popf")
    SNIPPET("pushf\n orl $0x100, (%rsp)\n popf\n cpuid\n out %al, $0x80")
    SNIPPET("mov %ss, %eax\n mov %eax, %ss")
    SNIPPET("pause\n rdtsc")
    SNIPPET("rdtscp")
    SNIPPET("rdpmc")
    SNIPPET("wbinvd")
    SNIPPET("invlpg (%rsp)")
    SNIPPET("xor %ecx, %ecx\n xgetbv\n xsetbv")
    SNIPPET("xor %ecx, %ecx\n xor %edx, %edx\n monitor\n mwait")
    SNIPPET("sgdt -16(%rsp)\n lgdt -16(%rsp)")
    SNIPPET("sidt -16(%rsp)\n lidt -16(%rsp)")
    SNIPPET("movl $0, -16(%rsp)\n movl $0, -12(%rsp)\n lidt -16(%rsp)\n ud2")
    SNIPPET("str %eax\n sldt %ecx\n lldt %cx")
    SNIPPET("mov $0x1000, %ecx\n1: loop 1b")
    SNIPPET("1: jmp 1b")
    "snippets_end:\n"
    ".popsection\n");
extern const uint64_t snippets[], snippets_end[];

/* VMRUN with these registers; it may fault, see on_fault(). */
void race_vmrun(struct vmcb *vmcb, const struct l2_regs *regs);
extern const char race_vmrun_at[], race_vmrun_done[], race_l2_end[];
asm(".pushsection .text\n"
    "race_vmrun:\n"
    "	push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
    "	mov %rdi, %rax\n"
    "	mov 0x00(%rsi), %rbx\n"
    "	mov 0x08(%rsi), %rcx\n"
    "	mov 0x10(%rsi), %rdx\n"
    "	mov 0x20(%rsi), %rdi\n"
    "	mov 0x28(%rsi), %rbp\n"
    "	mov 0x30(%rsi), %r8\n"
    "	mov 0x68(%rsi), %r15\n"
    "	mov 0x18(%rsi), %rsi\n"
    "race_vmrun_at:\n"
    "	vmrun %rax\n"
    "race_vmrun_done:\n"
    "	cld\n"
    "	pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n"
    "	ret\n"
    "race_l2_end:\n"
    "	vmmcall\n"
    "	jmp race_l2_end\n"
    ".popsection\n");

/* L1's and L2's: L2 leaves where it can; a fault of L1's but VMRUN's ends it. */
static GUEST_HANDLER void on_fault(struct guest_frame *frame)
{
	if (frame->rip == (uintptr_t)race_vmrun_at) {
		frame->rip = (uintptr_t)race_vmrun_done;
		return;
	}
	asm volatile("vmmcall" : : "a"(~0ul) : "memory");
	for (;;)
		asm volatile("outb %%al, %0" : : "N"(PORT_EXCEPTION), "D"(frame) : "memory");
}

static GUEST_HANDLER void on_event(struct guest_frame *frame)
{
}

/* What each snippet does, and that in any order: a stack of return addresses. */
static void make_chain(struct room *room)
{
	uint64_t *top = room->stack + ARRAY_SIZE(room->stack);
	unsigned int nr = 1 + roll(room, 6);

	*--top = 0;
	*--top = (uintptr_t)race_l2_end;
	while (nr--)
		*--top = snippets[roll(room, snippets_end - snippets - !!roll(room, 10))];
	room->draft.rip = *top++;
	room->draft.rsp = (uintptr_t)top;
}

static void change_intercepts(struct room *room, struct vmcb *vmcb)
{
	uint32_t *word = &vmcb->intercepts[roll(room, 6)];

	switch (roll(room, 4)) {
	case 0:
		*word = 0;
		break;
	case 1:
		*word = ~0u;
		break;
	default:
		*word ^= 1u << roll(room, 32);
	}
}

static void change_control(struct room *room, struct vmcb *vmcb)
{
	switch (roll(room, 14)) {
	case 0:
		vmcb->iopm_base_pa = any_address(room);
		break;
	case 1:
		vmcb->msrpm_base_pa = any_address(room);
		break;
	case 2:
		vmcb->tsc_offset = roll(room, ~0ull);
		break;
	case 3:
		vmcb->guest_asid = roll(room, 4);
		vmcb->tlb_control = roll(room, 8);
		break;
	case 4:
		vmcb->v_intr = roll(room, ~0u);
		vmcb->v_intr_vector = roll(room, 256);
		break;
	case 5:
	case 6:
		vmcb->v_intr |= V_IRQ | V_INTR_PRIO(15) |
				(roll(room, 2) ? V_INTR_MASKING : 0) |
				(roll(room, 2) ? V_IGN_TPR : 0);
		vmcb->v_intr_vector = 32 + roll(room, 224);
		break;
	case 7:
		vmcb->interrupt_shadow = roll(room, 4);
		break;
	case 8:
		vmcb->eventinj = EVENT_VALID | roll(room, 1 << 12) |
				 roll(room, 1 << 16) << 32;
		break;
	case 9:
		vmcb->eventinj = EVENT_VALID | roll(room, 5) << 8 | roll(room, 40);
		break;
	case 10:
		vmcb->np_enable = 1ull << roll(room, 64);
		vmcb->n_cr3 = any_address(room);
		break;
	case 11:
		vmcb->lbr_enable = roll(room, 8);
		vmcb->clean = roll(room, ~0ull);
		vmcb->nrip = any_address(room);
		break;
	case 12:
		room->iopm[roll(room, 0x80)] ^= 1 << roll(room, 8);
		room->msrpm[roll(room, sizeof(room->msrpm))] = roll(room, 256);
		break;
	default:
		change_intercepts(room, vmcb);
	}
}

#define SEGMENT_DPL	0x60	/* of the attributes */

static void change_segment(struct room *room, struct vmcb *vmcb)
{
	struct vmcb_segment *segment = &vmcb->es + roll(room, 10);

	switch (roll(room, 4)) {
	case 0:
		segment->selector = roll(room, 0x40);
		break;
	case 1:
		segment->attrib ^= 1 << roll(room, 16);
		break;
	case 2:
		segment->limit = roll(room, ~0u);
		break;
	default:
		segment->base = any_address(room);
	}
}

/* To a mode of 32 or 16 bits without paging. */
static void leave_long_mode(struct room *room, struct vmcb *vmcb)
{
	vmcb->efer &= ~(EFER_LME | EFER_LMA);
	vmcb->cr0 &= ~CR0_PG;
	vmcb->cs.attrib = roll(room, 2) ? 0xc9b : 0x9b;
	if (roll(room, 2))
		vmcb->cr0 &= ~CR0_PE;
}

static void change_save(struct room *room, struct vmcb *vmcb)
{
	switch (roll(room, 16)) {
	case 0:
		vmcb->cpl = roll(room, 2) ? 3 : roll(room, 256);
		break;
	case 1:
		vmcb->efer ^= 1ull << roll(room, 16);
		break;
	case 2:
		vmcb->cr0 ^= 1ull << roll(room, 33);
		break;
	case 3:
		vmcb->cr3 = any_address(room);
		break;
	case 4:
		vmcb->cr4 ^= 1ull << roll(room, 33);
		break;
	case 5:
		vmcb->dr6 ^= 1ull << roll(room, 33);
		vmcb->dr7 ^= 1ull << roll(room, 33);
		break;
	case 6:
		vmcb->rflags ^= 1ull << roll(room, 22);
		break;
	case 7:
		vmcb->rflags ^= RFLAGS_IF;
		break;
	case 8:
		vmcb->rip = any_address(room);
		break;
	case 9:
		vmcb->rsp = any_address(room);
		break;
	case 10:
		vmcb->rax = any_address(room);
		break;
	case 11:
		vmcb->cr2 = any_address(room);
		vmcb->g_pat = roll(room, ~0ull);
		break;
	case 12:
		leave_long_mode(room, vmcb);
		break;
	default:
		change_segment(room, vmcb);
	}
}

/*
 * QEMU's CPU (7.2) leaves a guest that has EFER.LME without paging and CR4.PAE with the
 * guest's CR0 in the host, which is its end. QEMU ends by itself when
 *  - there are watchpoints in guests of guests,
 *  - CR8 is written below the priority of a virtual interrupt that is pending,
 *  - an exception changes the privilege level and TR holds no TSS; out of long mode, also
 *    if that is busy.
 */
static void spare_emulator(struct vmcb *vmcb)
{
	if (!(vmcb->cr4 & CR4_PAE))
		vmcb->efer &= ~EFER_LME;
	vmcb->dr7 &= ~0xfful;
	if (vmcb->v_intr & V_IRQ)
		vmcb_intercept(vmcb, EXIT_WRITE_CR(8));
	if (!(vmcb->efer & EFER_LME) || !(vmcb->cr0 & CR0_PG))
		vmcb->ss.attrib &= ~SEGMENT_DPL;
}

static void change(struct room *room, struct vmcb *vmcb)
{
	unsigned int nr = roll(room, 6);

	if (!roll(room, 30))
		((uint64_t *)vmcb)[roll(room, 512)] = roll(room, ~0ull);
	while (nr--) {
		if (roll(room, 2))
			change_control(room, vmcb);
		else
			change_save(room, vmcb);
	}
	if (roll(room, 20))
		vmcb_intercept(vmcb, EXIT_VMRUN);
	if (roll(room, 20))
		vmcb_intercept(vmcb, EXIT_VMMCALL);
	spare_emulator(vmcb);
}

static void try_wrmsr(uint32_t msr, uint32_t value)
{
	guest_try("mov %2, %%ecx\n\tmov %3, %%eax\n\txor %%edx, %%edx\n\twrmsr",
		  "r"(msr), "r"(value));
}

/* Either good or refused: see spare_emulator(). */
static uint64_t any_vmload(struct room *room)
{
	switch (roll(room, 4)) {
	case 0:
		return VM_MMIO_GPA;
	case 1:
		return any_address(room) | 1;
	case 2:
		return -PAGE_SIZE * (1 + roll(room, 3));
	default:
		return (uintptr_t)&l2_vmcb;
	}
}

static void change_l1(struct room *room)
{
	switch (roll(room, 12)) {
	case 0:
		asm volatile("cli");
		break;
	case 1:
		asm volatile("sti");
		break;
	case 2:
		guest_try("clgi");
		break;
	case 3:
		guest_try("mov %2, %%rax\n\tvmload %%rax", "r"(any_vmload(room)));
		break;
	case 4:
		guest_try("mov %2, %%rax\n\tvmsave %%rax", "r"(&l1_state));
		break;
	case 5:
		try_wrmsr(MSR_VM_HSAVE_PA, (uint32_t)any_address(room));
		break;
	case 6:
		guest_try("mov %2, %%cr8", "r"(roll(room, 17)));
		break;
	case 7:
		guest_try("mov %2, %%rax\n\tmov $1, %%ecx\n\tinvlpga %%rax, %%ecx",
			  "r"(any_address(room)));
		break;
	case 8:
		try_wrmsr(MSR_EFER, guest_rdmsr(MSR_EFER) ^ EFER_SVME);
		break;
	}
}

/* What the compiler would make of it may be beyond the emulation, when memory is gone. */
static void copy_page(void *to, const void *from)
{
	uint64_t count = PAGE_SIZE / 8;

	asm volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}

static void prepare(struct room *room, struct vmcb *vmcb)
{
	/* The same for all of them, in any case valid. */
	l1_prepare((l2_function)race_l2_end, 0);
	copy_page(&room->draft, &l2_vmcb);
	room->draft.iopm_base_pa = (uintptr_t)room->iopm;
	room->draft.msrpm_base_pa = (uintptr_t)room->msrpm;
	vmcb_intercept(&room->draft, EXIT_INTR);
	vmcb_intercept(&room->draft, EXIT_NMI);
	vmcb_intercept(&room->draft, EXIT_SHUTDOWN);
	make_chain(room);
	change(room, &room->draft);
	/* As if refused, until it was not. */
	room->draft.exitcode = EXIT_INVALID;
	copy_page(vmcb, &room->draft);
	room->regs.rcx = MSR_EFER + roll(room, 4);
	room->regs.rsi = any_address(room);
	room->regs.rdi = any_address(room);
	room->regs.rdx = roll(room, 0x400);
}

/* In memory that comes and goes, if it is there now; or else in L1's own. */
static struct vmcb *any_vmcb(struct room *room)
{
	struct vmcb *vmcb = (struct vmcb *)(VM_PLAY_GPA + (room - rooms) * PAGE_SIZE);

	if (!roll(room, 3)) {
		WRITE_ONCE(vmcb->exitcode, room->seed);
		if (READ_ONCE(vmcb->exitcode) == room->seed)
			return vmcb;
	}
	return &room->vmcb;
}

#define TAG_ALIVE	0x21
#define ROUNDS_REPORT	4

static void l1(uint64_t nr)
{
	struct room *room = &rooms[nr];

	for (;;) {
		struct vmcb *vmcb = any_vmcb(room);

		prepare(room, vmcb);
		change_l1(room);
		race_vmrun(vmcb, &room->regs);
		/* A #UD for who has switched SVM off. */
		if (roll(room, 8))
			guest_try("stgi");
		if (vmcb->exitcode != EXIT_INVALID && ++room->rounds % ROUNDS_REPORT == 0)
			guest_report(TAG_ALIVE, 0);
	}
}

/* --- its VMM */

extern const char _end[];

/* A vCPU, as it is at first and again after each end of its L1. */
static struct life {
	struct vcpu *vcpu;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	uint64_t stack_end;		/* of L1's, gpa */
	uint64_t seed;
	double alive;			/* when L1 was heard of */
	unsigned long ends, rounds;
	double longest;			/* KVM_RUN */
	int error;			/* that KVM_RUN may not have */
	uint32_t exit_reason;		/* likewise */
} lives[LIVES];

/* Seconds without a word of L1 that end its life. */
static double patience;

/* What is in all that the guests have, before they begin. */
static uint8_t *begin_ram;
static pthread_mutex_t end_lock = PTHREAD_MUTEX_INITIALIZER;

#define STACK_SIZE	(4 * PAGE_SIZE)

/* Only what has changed: an emulator translates code anew that is written. */
static void restore(struct vm *vm, uint64_t from, uint64_t to)
{
	uint64_t at, next;

	for (at = from; at < to; at = next) {
		next = (at | (PAGE_SIZE - 1)) + 1;
		if (next > to)
			next = to;
		if (memcmp(vm_ptr(vm, at), begin_ram + at, next - at))
			memcpy(vm_ptr(vm, at), begin_ram + at, next - at);
	}
}

/* But for what the others live in. */
static void restore_ram(struct vm *vm, const struct life *life)
{
	const struct life *other = &lives[life == lives];
	const uint64_t room = (uintptr_t)&rooms[other - lives];

	restore(vm, 0, PAGE_SIZE);
	restore(vm, VM_IMAGE_GPA, room);
	restore(vm, room + sizeof(struct room), (uintptr_t)_end);
	restore(vm, VM_POOL_GPA, other->stack_end - STACK_SIZE);
	restore(vm, other->stack_end, vm->next_page);
}

/* As a VMM does it that resets a vCPU, whatever it was at. */
static void begin_life(struct life *life)
{
	struct kvm_vcpu_events events = {
		.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW |
			 KVM_VCPUEVENT_VALID_TRIPLE_FAULT,
	};
	struct vm *vm = life->vcpu->vm;
	struct room *room = &guest_var(vm, rooms)[life - lives];

	pthread_mutex_lock(&end_lock);
	restore_ram(vm, life);
	pthread_mutex_unlock(&end_lock);
	room->seed = ++life->seed * 0x9e3779b97f4a7c15;
	ioctl(life->vcpu->fd, KVM_SET_SREGS, &life->sregs);
	ioctl(life->vcpu->fd, KVM_SET_VCPU_EVENTS, &events);
	ioctl(life->vcpu->fd, KVM_SET_REGS, &life->regs);
	life->alive = now();
}

static bool may_fail(int error)
{
	/* EINVAL: the CR8 or the registers in the shared page. */
	return error == EINTR || error == EFAULT || error == EINVAL || error == EAGAIN;
}

/* Is that its end? */
static bool has_ended(struct life *life)
{
	struct kvm_run *run = life->vcpu->run;
	const uint32_t reason = run->exit_reason;

	switch (reason) {
	case KVM_EXIT_IO:
		if (run->io.port == PORT_REPORT) {
			life->rounds += ROUNDS_REPORT;
			life->alive = now();
		}
		return run->io.port == PORT_EXCEPTION;
	case KVM_EXIT_SHUTDOWN:
	case KVM_EXIT_INTERNAL_ERROR:
	case KVM_EXIT_FAIL_ENTRY:
		return true;
	case KVM_EXIT_MMIO:
	case KVM_EXIT_HLT:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_SET_TPR:
	case KVM_EXIT_DEBUG:
		return false;
	default:
		life->exit_reason = reason ?: ~0u;
		return true;
	}
}

static void post_event(struct racer *racer, int fd)
{
	struct kvm_interrupt interrupt = { .irq = 32 + dice(racer, 224) };

	if (dice(racer, 4))
		ioctl(fd, KVM_INTERRUPT, &interrupt);
	else
		ioctl(fd, KVM_NMI, 0);
}

/* See call_run_page(). */
static void mend_run_page(struct kvm_run *run)
{
	run->cr8 = 0;
	run->kvm_valid_regs = 0;
	run->kvm_dirty_regs = 0;
}

/* Once only: a guest whose VMM has nothing for it would not get any further. */
static bool is_window_open(struct kvm_run *run)
{
	if (run->exit_reason != KVM_EXIT_IRQ_WINDOW_OPEN)
		return false;
	run->request_interrupt_window = 0;
	return true;
}

static void live(struct life *life, struct racer *racer)
{
	const double start = now();
	const int ret = try_ioctl(life->vcpu->fd, KVM_RUN, 0);
	const double end = now();
	bool ended = end - life->alive > patience * time_scale();

	if (end - start > life->longest)
		life->longest = end - start;
	if (ret < 0 && !may_fail(-ret))
		life->error = -ret;
	if (!ret && has_ended(life))
		ended = true;
	if (ret == -EINVAL)
		mend_run_page(life->vcpu->run);
	/* As from its devices. */
	if (ret == -EINTR ? dice(racer, 2) : is_window_open(life->vcpu->run))
		post_event(racer, life->vcpu->fd);
	if (ended) {
		life->ends++;
		begin_life(life);
	}
}

/* --- what its other threads do */

static struct vcpu *any_vcpu(struct racer *racer)
{
	return lives[dice(racer, LIVES)].vcpu;
}

static void flip(struct racer *racer, void *data, size_t size)
{
	uint8_t *bytes = data;
	unsigned int nr;

	for (nr = dice(racer, 3); nr; nr--)
		bytes[dice(racer, size)] ^= 1 << dice(racer, 8);
}

static void call_event(struct racer *racer)
{
	post_event(racer, any_vcpu(racer)->fd);
}

static void call_regs(struct racer *racer)
{
	const int fd = any_vcpu(racer)->fd;
	struct kvm_regs regs;

	ioctl(fd, KVM_GET_REGS, &regs);
	flip(racer, &regs, sizeof(regs));
	ioctl(fd, KVM_SET_REGS, &regs);
}

static void call_sregs(struct racer *racer)
{
	const int fd = any_vcpu(racer)->fd;
	struct kvm_sregs sregs;

	ioctl(fd, KVM_GET_SREGS, &sregs);
	if (dice(racer, 2))
		flip(racer, &sregs, sizeof(sregs));
	if (!dice(racer, 4))
		sregs.efer &= ~EFER_SVME;
	/* See spare_emulator(). */
	if (!(sregs.cr4 & CR4_PAE))
		sregs.efer &= ~EFER_LME;
	if (!(sregs.efer & EFER_LMA))
		sregs.ss.dpl = 0;
	sregs.tr.type = 11;
	sregs.tr.present = 1;
	sregs.tr.unusable = 0;
	ioctl(fd, KVM_SET_SREGS, &sregs);
}

static void call_msrs(struct racer *racer)
{
	static const uint32_t msrs[] = {
		MSR_EFER, MSR_VM_HSAVE_PA, MSR_VM_CR, MSR_TSC, MSR_KERNEL_GS_BASE, MSR_PAT,
	};
	struct vcpu *vcpu = any_vcpu(racer);
	const uint32_t msr = msrs[dice(racer, ARRAY_SIZE(msrs))];
	uint64_t value = 0;

	vcpu_try_get_msr(vcpu, msr, &value);
	switch (msr) {
	case MSR_EFER:
		value ^= dice(racer, 2) ? EFER_SVME : EFER_NXE;
		break;
	case MSR_VM_CR:
		value ^= dice(racer, 16);
		break;
	default:
		flip(racer, &value, sizeof(value));
	}
	vcpu_try_set_msr(vcpu, msr, value);
}

static void call_events(struct racer *racer)
{
	const int fd = any_vcpu(racer)->fd;
	struct kvm_vcpu_events events;

	ioctl(fd, KVM_GET_VCPU_EVENTS, &events);
	if (dice(racer, 2))
		flip(racer, &events, offsetof(struct kvm_vcpu_events, reserved));
	if (!dice(racer, 8))
		events.triple_fault.pending = 1;
	ioctl(fd, KVM_SET_VCPU_EVENTS, &events);
}

static void call_debug(struct racer *racer)
{
	static const uint32_t controls[] = {
		0, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP, 0,
		KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP, 0,
		KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_INJECT_DB, KVM_GUESTDBG_INJECT_BP,
	};
	struct kvm_guest_debug debug = { .control = controls[dice(racer, ARRAY_SIZE(controls))] };
	struct kvm_debugregs regs = { .dr6 = dice(racer, 1 << 16), .dr7 = 0x400 };
	const int fd = any_vcpu(racer)->fd;

	ioctl(fd, KVM_SET_GUEST_DEBUG, &debug);
	if (!dice(racer, 4))
		ioctl(fd, KVM_SET_DEBUGREGS, &regs);
}

static void call_cpuid(struct racer *racer)
{
	static __thread struct {
		struct kvm_cpuid2 cpuid;
		struct kvm_cpuid_entry2 entries[100];
	} all;
	const struct kvm_cpuid2 *from = slat_supported_cpuid();
	unsigned int i;

	if (from->nent > ARRAY_SIZE(all.entries))
		return;
	memcpy(&all, from, sizeof(*from) + from->nent * sizeof(from->entries[0]));
	for (i = 0; i < from->nent; i++)
		if (all.entries[i].function == 0x80000001)
			all.entries[i].ecx ^= dice(racer, 2) << 2;	/* SVM */
	ioctl(any_vcpu(racer)->fd, KVM_SET_CPUID2, &all);
}

static void call_run_page(struct racer *racer)
{
	struct kvm_run *run = any_vcpu(racer)->run;

	run->request_interrupt_window = dice(racer, 2);
	run->cr8 = dice(racer, 17);
	WRITE_ONCE(run->immediate_exit, !dice(racer, 3));
	run->kvm_valid_regs = dice(racer, 8);
	if (!dice(racer, 4)) {
		flip(racer, &run->s.regs.regs, sizeof(run->s.regs.regs));
		run->kvm_dirty_regs = dice(racer, 8) & run->kvm_valid_regs;
	}
	sched_yield();
	WRITE_ONCE(run->immediate_exit, 0);
}

static void call_slot(struct racer *racer)
{
	struct arena *arena = racer->arena;
	const uint32_t flags = (dice(racer, 8) ? 0 : KVM_MEM_READONLY) |
			       (dice(racer, 3) ? 0 : KVM_MEM_LOG_DIRTY_PAGES);

	/* It takes a while, in which memory is gone for all. */
	if (dice(racer, 4))
		return;
	vm_try_slot(arena->play.vm, VM_PLAY_SLOT, 0, 0, 0, NULL);
	if (!dice(racer, 4))
		sched_yield();
	vm_try_slot(arena->play.vm, VM_PLAY_SLOT, flags, VM_PLAY_GPA, ARENA_SIZE, arena->mem);
}

static void call_memory(struct racer *racer)
{
	void *at = racer->arena->mem + dice(racer, 2 * LIVES) * PAGE_SIZE;

	switch (dice(racer, 3)) {
	case 0:
		madvise(at, PAGE_SIZE, MADV_DONTNEED);
		break;
	case 1:
		mprotect(at, PAGE_SIZE, PROT_NONE);
		sched_yield();
		mprotect(at, PAGE_SIZE, PROT_READ | PROT_WRITE);
		break;
	case 2:
		munmap(at, PAGE_SIZE);
		sched_yield();
		mmap(at, PAGE_SIZE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		break;
	}
}

static void (*const calls[])(struct racer *racer) = {
	call_event, call_slot, call_memory, call_run_page,
	call_regs, call_sregs, call_msrs, call_events, call_debug, call_cpuid,
};

/* --- the race */

/* Not all the time: the guests want the CPUs, too. */
static void trouble(struct racer *racer)
{
	calls[dice(racer, racer->call - LIVES)](racer);
	usleep(dice(racer, 500));
}

/* racer->call: which life, or else by how many calls it is troubled. */
static void *race(void *arg)
{
	struct racer *racer = arg;

	while (!READ_ONCE(racer->arena->stop)) {
		if (racer->call < LIVES)
			live(&lives[racer->call], racer);
		else
			trouble(racer);
		WRITE_ONCE(racer->done, racer->done + 1);
	}
	return NULL;
}

static void prepare_lives(struct arena *arena, unsigned int seed)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_TRIPLE_FAULT_EVENT, .args = { 1 } };
	struct vm *vm = arena->play.vm;
	unsigned int i;

	must_ioctl(vm->fd, KVM_ENABLE_CAP, &cap);
	for (i = 0; i < 256; i++)
		guest_handlers[i] = i < 32 && i > BP_VECTOR ? on_fault : on_event;
	guest_handlers[DE_VECTOR] = on_fault;
	for (i = 0; i < LIVES; i++) {
		struct life *life = &lives[i];

		*life = (struct life){
			.vcpu = i ? vcpu_create(vm, i) : arena->play.vcpu, .seed = (seed * LIVES + i) * 1000000ul,
		};
		guest_enter_c(life->vcpu, l1, i);
		life->stack_end = vm->next_page;
		vcpu_get_regs(life->vcpu, &life->regs);
		vcpu_get_sregs(life->vcpu, &life->sregs);
	}
	/* What runs into nothing, at 0, leaves L2. */
	memcpy(vm->ram, race_l2_end, 5);
	begin_ram = mem_alloc(VM_RAM_SIZE);
	memcpy(begin_ram, vm->ram, VM_RAM_SIZE);
	for (i = 0; i < LIVES; i++)
		begin_life(&lives[i]);
}

/* Guests do other things with another seed. */
static void begin_race(struct arena *arena, unsigned int seed)
{
	arena_create_play(arena);
	/* Interrupts a moment apart, so that guests come round. */
	arena->pause = 1000;
	prepare_lives(arena, seed);
}

#define CALLERS	2

static void run_lives(struct arena *arena, unsigned int nr_calls, double seconds)
{
	struct racer racers[LIVES + CALLERS];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(racers); i++)
		racers[i].call = i < LIVES ? i : LIVES + nr_calls;
	run_racers(arena, racers, ARRAY_SIZE(racers), race, seconds);
}

static bool all_lived(void)
{
	unsigned int i;

	for (i = 0; i < LIVES; i++)
		if (!lives[i].rounds)
			return false;
	return true;
}

/* Short lives, so that there are many, unless this machine is too slow for any. */
static void run_until_lived(struct arena *arena, unsigned int nr_calls)
{
	for (patience = 0.01; patience < 2; patience *= 4) {
		arena->stop = false;
		run_lives(arena, nr_calls, look_for(SECONDS));
		if (all_lived())
			break;
	}
}

static void l2_reports(uint64_t value)
{
	guest_report(1, value);
}

/* A vCPU that comes now is as good as in any VM, and so is a guest's guest on it. */
static void expect_usable(struct __test_metadata *_metadata, struct vm *vm, void *mem)
{
	struct vcpu *vcpu;

	memset(guest_handlers, 0, sizeof(guest_handlers));
	memset(vm->ram, 0, VM_RAM_SIZE);
	vm->image_loaded = false;
	vm->next_page = VM_POOL_GPA;
	vm->root = 0;
	vm_make_play_tables(vm);
	vm_try_slot(vm, VM_PLAY_SLOT, 0, 0, 0, NULL);
	vm_slot(vm, VM_PLAY_SLOT, 0, VM_PLAY_GPA, ARENA_SIZE, mem);
	vcpu = vcpu_create(vm, LIVES);
	guest_enter_c(vcpu, l2_reports, 5);
	EXPECT_EQ(5, vcpu_await(vcpu, 1));
	vcpu_await_done(vcpu);
	vm->image_loaded = false;
	nested_enter(vcpu, l2_reports, 6);
	EXPECT_EQ(6, vcpu_await(vcpu, 1));
	EXPECT_EQ(EXIT_VMMCALL, nested_run(vcpu));
	vcpu_destroy(vcpu);
}

static void race_lives(struct __test_metadata *_metadata, unsigned int nr_calls)
{
	const long pins = pinned_pages();
	struct arena arena;
	unsigned int i;

	if (!nested_supported())
		SKIP(return, "guests here have no SVM");
	begin_race(&arena, nr_calls);
	run_until_lived(&arena, nr_calls);
	for (i = 0; i < LIVES; i++) {
		const struct life *life = &lives[i];

		EXPECT_EQ(0, life->error);
		EXPECT_EQ(0, life->exit_reason);
		/* Signals come all the time, and no machine stands still for so long. */
		EXPECT_GT(20.0 * time_scale(), life->longest);
		EXPECT_LT(0, life->rounds);
		EXPECT_LT(0, life->ends);
	}
	expect_usable(_metadata, arena.play.vm, arena.mem);
	vcpu_destroy(lives[1].vcpu);
	arena_destroy(&arena);
	EXPECT_EQ(pins, pinned_pages());
}

/* Just interrupts and NMIs. */
SLOW_TEST(nested, B7_hostile_guest)
{
	race_lives(_metadata, 1);
}

/* And memory that comes and goes. */
SLOW_TEST(nested, B7_under_changing_memory)
{
	race_lives(_metadata, 4);
}

/* And state that changes. */
SLOW_TEST(nested, B7_under_a_hostile_vmm)
{
	race_lives(_metadata, ARRAY_SIZE(calls));
}

static void live_until_killed(bool *lives_on, unsigned int seed)
{
	struct arena arena;

	begin_race(&arena, seed);
	patience = 0.01;
	*lives_on = true;
	run_lives(&arena, ARRAY_SIZE(calls), 1000);
	_exit(1);
}

/* A VMM that is killed at any of this leaves nothing behind. */
SLOW_TEST(nested, B7_killed)
{
	bool *const lives_on = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const long pins = pinned_pages();
	unsigned int i;

	if (!nested_supported())
		SKIP(return, "guests here have no SVM");
	for_rounds (i, look_often(20), look_for(SECONDS)) {
		pid_t pid;
		int status;

		*lives_on = false;
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			live_until_killed(lives_on, i + 20);
		while (!READ_ONCE(*lives_on) && !waitpid(pid, &status, WNOHANG))
			usleep(1000);
		usleep(i * 7919 % 100000);
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
	EXPECT_EQ(pins, pinned_pages());
}

SLAT_HARNESS_MAIN

// SPDX-License-Identifier: GPL-2.0-only
/* The life of a vCPU, and the run loop. */
#include <linux/atomic.h>
#include <linux/file.h>
#include <linux/slab.h>
#include <linux/sched.h>
#include <asm/tsc.h>

#include "ioctl.h"
#include "state.h"
#include "vcpu.h"

/* Life cycle */

static struct slat_vcpu *alloc_vcpu(struct slat_vm *vm, u32 id)
{
	static atomic64_t serials;
	struct slat_vcpu *vcpu = kzalloc(sizeof(*vcpu), GFP_KERNEL_ACCOUNT);

	if (!vcpu)
		return NULL;
	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->serial = atomic64_inc_return(&serials);
	vcpu->cpu = -1;
	vcpu->xcr0 = XFEATURE_MASK_FP;
	vcpu->apic_base = APIC_DEFAULT_PHYS_BASE | MSR_IA32_APICBASE_ENABLE;
	slat_mutex_init(&vcpu->mutex, SLAT_LOCK_VCPU, vm);
	slat_runstate_init(vcpu);
	slat_cache_init(&vcpu->filler.cache, vm->mmu.ops->empty());
	vcpu->run = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	vcpu->io_page = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!vcpu->run || !vcpu->io_page)
		goto err;
	if (!fpu_alloc_guest_fpstate(&vcpu->fpu))
		goto err;
	if (slat_hw->vcpu_create(vcpu))
		goto err_fpu;
	slat_cpuid_set(vcpu, NULL, 0);
	slat_hw->vcpu_reset(vcpu);
	slat_msrs_init(vcpu);
	slat_tsc_sync(vcpu, 0);
	vcpu->tsc_khz = tsc_khz;
	return vcpu;

err_fpu:
	fpu_free_guest_fpstate(&vcpu->fpu);
err:
	free_page((unsigned long)vcpu->io_page);
	free_page((unsigned long)vcpu->run);
	kfree(vcpu);
	return NULL;
}

void slat_vcpu_free(struct slat_vcpu *vcpu)
{
	slat_hw->vcpu_free(vcpu);
	fpu_free_guest_fpstate(&vcpu->fpu);
	slat_cache_drain(&vcpu->filler.cache);
	kvfree(vcpu->cpuid);
	/* The VMM may still map these; it holds references of its own. */
	free_page((unsigned long)vcpu->io_page);
	free_page((unsigned long)vcpu->run);
	kfree(vcpu);
}

/*
 * Under vm->lock.  Whoever flushes must see the vCPU before it can run, so it joins
 * the VM before its fd is there; nothing fails after that.
 */
static int add_vcpu(struct slat_vm *vm, struct slat_vcpu *vcpu)
{
	struct file *file;
	int fd, ret;

	/* From the first one on, the limit is settled. */
	if (!vm->max_vcpu_ids)
		vm->max_vcpu_ids = SLAT_VCPUS_MAX;
	if (vm->nr_vcpus == SLAT_VCPUS_MAX || vcpu->id >= vm->max_vcpu_ids)
		return -EINVAL;
	if (xa_load(&vm->vcpus, vcpu->id))
		return -EEXIST;
	ret = xa_reserve(&vm->vcpus, vcpu->id, GFP_KERNEL_ACCOUNT);
	if (ret)
		return ret;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0) {
		ret = fd;
		goto err_release;
	}
	file = slat_vcpu_file(vcpu);
	if (IS_ERR(file)) {
		ret = PTR_ERR(file);
		goto err_fd;
	}
	if (vcpu->id == vm->boot_cpu_id)
		vcpu->apic_base |= MSR_IA32_APICBASE_BSP;
	slat_vm_get(vm);
	xa_store(&vm->vcpus, vcpu->id, vcpu, GFP_KERNEL_ACCOUNT);
	vm->nr_vcpus++;
	fd_install(fd, file);
	return fd;

err_fd:
	put_unused_fd(fd);
err_release:
	xa_release(&vm->vcpus, vcpu->id);
	return ret;
}

int slat_vcpu_create(struct slat_vm *vm, u32 id)
{
	struct slat_vcpu *vcpu;
	int ret;

	if (id >= SLAT_VCPUS_MAX)
		return -EINVAL;
	vcpu = alloc_vcpu(vm, id);
	if (!vcpu)
		return -ENOMEM;
	slat_mutex_lock(&vm->lock);
	ret = add_vcpu(vm, vcpu);
	slat_mutex_unlock(&vm->lock);
	if (ret < 0)
		slat_vcpu_free(vcpu);
	return ret;
}

bool slat_vcpu_is_protected(struct slat_vcpu *vcpu)
{
	const struct slat_mode *mode = &vcpu->mode;

	return mode->cr0 & X86_CR0_PE;
}

void slat_vcpu_skip(struct slat_vcpu *vcpu, u64 next_rip)
{
	const struct slat_mode *mode = &vcpu->mode;

	vcpu->rip = mode->cs_l ? next_rip : (u32)next_rip;
	vcpu->events.shadow = false;
	vcpu->rflags &= ~X86_EFLAGS_RF;
	if (vcpu->debug.control & KVM_GUESTDBG_SINGLESTEP)
		vcpu->debug.stepped = true;
	else if (vcpu->rflags & X86_EFLAGS_TF)
		slat_hw->single_stepped(vcpu);
}

/* The run loop */

/* Wait for the scheduler to move us off a CPU that is going down. */
static int leave_cpu(void)
{
	schedule_timeout_interruptible(1);
	return -EAGAIN;
}

/*
 * Into the guest and out again, once.  0, or -EAGAIN: something has to be done
 * first.
 */
static int enter(struct slat_vcpu *vcpu)
{
	u64 gen;

	preempt_disable();
	local_irq_disable();
	/* Interrupts are off, since a reboot switches it off by one. */
	if (!slat_hw_here()) {
		local_irq_enable();
		preempt_enable();
		return leave_cpu();
	}
	WRITE_ONCE(vcpu->cpu, smp_processor_id());
	WRITE_ONCE(vcpu->in_guest, true);
	/* Before the generation is read; pairs with flush() and kicks of vm.c. */
	smp_mb();
	if (slat_guest_work_pending() || slat_runstate_is_news(&vcpu->runstate)) {
		WRITE_ONCE(vcpu->in_guest, false);
		local_irq_enable();
		preempt_enable();
		return -EAGAIN;
	}
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		switch_fpu_return();
	gen = smp_load_acquire(&vcpu->vm->mmu.cut_gen);

	slat_note_quiescent(&vcpu->noted);
	guest_timing_enter_irqoff();
	slat_hw->run(vcpu, gen);
	WRITE_ONCE(vcpu->in_guest, false);
	vcpu->stats.exits++;
	slat_ibpb_on_return();

	/* A tick that ended the guest's time is accounted as such, so let it in first. */
	local_irq_enable();
	local_irq_disable();
	guest_timing_exit_irqoff();
	local_irq_enable();
	preempt_enable();
	return 0;
}

/* Do what kept the vCPU from entering.  Return: 0, or -EINTR for a signal. */
static int prepare(struct slat_vcpu *vcpu)
{
	slat_runstate_begin(&vcpu->runstate);
	return slat_guest_work();
}

static int interrupted(struct slat_vcpu *vcpu)
{
	vcpu->run->exit_reason = KVM_EXIT_INTR;
	return -EINTR;
}

static int irq_window_open(struct slat_vcpu *vcpu)
{
	vcpu->run->exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
	return 0;
}

static int shutdown(struct slat_vcpu *vcpu)
{
	vcpu->run->exit_reason = KVM_EXIT_SHUTDOWN;
	slat_hw->vcpu_reset(vcpu);
	return 0;
}

/* Until the VMM is wanted: 0 with run filled in, or an errno. */
static int run_guest(struct slat_vcpu *vcpu)
{
	int ret;

	vcpu->run->exit_reason = KVM_EXIT_UNKNOWN;
	if (vcpu->events.exception.deferred)
		slat_inject_payload(vcpu);
	do {
		if (vcpu->inner) {
			ret = slat_hw->inner_event(vcpu);
			if (ret < 0)
				return ret;
		}
		if (slat_inject_is_triple(&vcpu->events))
			return shutdown(vcpu);
		if (vcpu->debug.stepped)
			return slat_debug_stepped(vcpu);
		if (READ_ONCE(vcpu->run->request_interrupt_window) && slat_inject_irq_ready(vcpu))
			return irq_window_open(vcpu);
		if (!enter(vcpu))
			ret = slat_exit_handle(vcpu, &vcpu->exit);
		else if (prepare(vcpu))
			return interrupted(vcpu);
		else
			ret = 1;
	} while (ret > 0);
	return ret;
}

/* Finish what the last KVM_RUN left to the VMM.  1: go on into the guest. */
static int finish_exit(struct slat_vcpu *vcpu)
{
	int (*todo)(struct slat_vcpu *vcpu) = vcpu->complete;

	if (!todo)
		return 1;
	vcpu->complete = NULL;
	return todo(vcpu);
}

static void publish(struct slat_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	slat_inject_publish(vcpu);
	run->apic_base = vcpu->apic_base;
	run->cr8 = vcpu->cr8;
	run->flags = 0;
	vcpu->stats.user_exits++;
}

/* The VMM may want other signals to end KVM_RUN than its thread blocks. */

static void block_signals(struct slat_vcpu *vcpu)
{
	if (vcpu->has_sigset)
		sigprocmask(SIG_SETMASK, &vcpu->sigset, &current->real_blocked);
}

static void unblock_signals(struct slat_vcpu *vcpu)
{
	if (!vcpu->has_sigset)
		return;
	sigprocmask(SIG_SETMASK, &current->real_blocked, NULL);
	sigemptyset(&current->real_blocked);
}

/* Settle what no later KVM_RUN can change. */
static int first_run(struct slat_vcpu *vcpu)
{
	if (vcpu->vm->mmu.ops != slat_hw->table_ops)
		return -ENODEV;
	vcpu->has_run = true;
	slat_runstate_change(&vcpu->runstate, SLAT_RUNSTATE_RUNNING);
	return 0;
}

static int run(struct slat_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	const u64 cr8 = READ_ONCE(run->cr8);
	int ret;

	if (!vcpu->has_run) {
		ret = first_run(vcpu);
		if (ret)
			return ret;
	}
	if (READ_ONCE(run->kvm_valid_regs) | READ_ONCE(run->kvm_dirty_regs)) {
		ret = slat_sync_in(vcpu);
		if (ret)
			return ret;
	}
	if (cr8 > SLAT_CR8_MAX)
		return -EINVAL;
	if (cr8 != vcpu->cr8)
		slat_hw->set_cr8(vcpu, cr8);
	fpu_swap_kvm_fpstate(&vcpu->fpu, true);
	ret = finish_exit(vcpu);
	/* VMMs finish an exit in this way and then read its reason: it stays. */
	if (ret > 0)
		ret = slat_immediate_exit(run) ? -EINTR : run_guest(vcpu);
	fpu_swap_kvm_fpstate(&vcpu->fpu, false);
	publish(vcpu);
	if (READ_ONCE(run->kvm_valid_regs))
		slat_sync_out(vcpu);
	return ret;
}

int slat_vcpu_run(struct slat_vcpu *vcpu)
{
	int ret;

	block_signals(vcpu);
	slat_runstate_begin(&vcpu->runstate);
	ret = run(vcpu);
	slat_runstate_end(&vcpu->runstate);
	unblock_signals(vcpu);
	return ret;
}
